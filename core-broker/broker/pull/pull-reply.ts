// The header of the answer to a pull that found something, as bytes with holes: only the offsets and the
// opaque differ. Flags that are not 0 are rare; such answers are encoded by the codec.
// Invariant: the bytes are what the codec writes for the same values (unit test).
import { encodeResponse, ResponseCode } from '../../protocol/index.ts';
import { cutAtMarks, DIGITS_MAX, put, putInt32, putNumber } from '../replies/index.ts';

const LENGTH_BYTES = 4;
const HOLES = 4;
/** Values that stand nowhere else in the sample; the last one is a number there. */
const MARKS = ['@next@', '@min@', '@max@', '123454321'] as const;

/** What the header of an answer says besides success. */
export interface FoundHeader {
  opaque: number;
  nextBeginOffset: number;
  minOffset: number;
  maxOffset: number;
  /** Bytes of records behind the header. */
  bodyBytes: number;
}

export class FoundTemplate {
  readonly #parts: Buffer[];
  /** Bytes encode() may write at most. */
  readonly bytesMax: number;

  constructor() {
    const [nextBeginOffset, minOffset, maxOffset, opaque] = MARKS;
    const sample = encodeResponse(Number(opaque), {
      code: ResponseCode.SUCCESS,
      remark: 'FOUND',
      ext: {
        suggestWhichBrokerId: 0,
        nextBeginOffset,
        minOffset,
        maxOffset,
        topicSysFlag: 0,
        groupSysFlag: 0,
      },
    });
    this.#parts = cutAtMarks(sample, MARKS);
    this.bytesMax = sample.length + HOLES * DIGITS_MAX;
  }

  /** Encodes one header at `at`. @returns the position behind it */
  encode(out: Buffer, at: number, header: FoundHeader): number {
    const parts = this.#parts;
    let p = put(out, at, parts[0]!);
    p = putNumber(out, p, header.nextBeginOffset);
    p = put(out, p, parts[1]!);
    p = putNumber(out, p, header.minOffset);
    p = put(out, p, parts[2]!);
    p = putNumber(out, p, header.maxOffset);
    p = put(out, p, parts[3]!);
    p = putNumber(out, p, header.opaque);
    p = put(out, p, parts[4]!);
    putInt32(out, at, p - at - LENGTH_BYTES + header.bodyBytes);
    putInt32(out, at + LENGTH_BYTES, p - at - 2 * LENGTH_BYTES);
    return p;
  }
}
