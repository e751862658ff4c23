// The answer to a send, as bytes with holes: only queue id, message id, queue offset, transaction id and
// opaque differ between two answers. Numbers and hex are written digit by digit; no string is made.
//   frame length 4 | header length 4 | JSON: all that is fixed, message id | queue ... opaque
// Invariant: the bytes are one strict JSON header with string ext values, the form every client reads.
import {
  encodeResponse,
  RangeCopier,
  ResponseCode,
  writeHex,
  writeHex64,
} from '../../protocol/index.ts';
import { cutAtMarks, DIGITS_MAX, put, putInt32, putNumber } from './byte-writer.ts';

const OFFSET_DIGITS = 16;
const PREFIX_BYTES = 8;
const MARK_OPAQUE = 123_454_321;

export interface ReplyTemplateOptions {
  regionId: string;
  isTraceOn: boolean;
  /** Advertised address and port in record form: first part of every message id. */
  storeHost: Buffer;
}

/** What differs between two replies. A reused object. */
export class ReplyFields {
  opaque = 0;
  queueId = 0;
  physicalOffset = 0;
  queueOffset = 0;
  /** UNIQ_KEY bytes. */
  unique: Buffer = Buffer.alloc(0);
  uniqueStart = 0;
  uniqueLength = 0;
}

export class ReplyTemplate {
  /** Everything up to the digits of the physical offset, which are its last 16 bytes. */
  readonly #head: Buffer;
  /** What stands before queue id, queue offset, transaction id, opaque, and behind all. */
  readonly #parts: Buffer[];
  /** Bytes encode() may write at most, without the unique key. */
  readonly bytesMax: number;
  readonly #copier = new RangeCopier(Buffer.alloc(0));

  constructor(options: ReplyTemplateOptions) {
    const [head, ...parts] = splitSample(options);
    this.#head = Buffer.concat([head as Buffer, Buffer.alloc(OFFSET_DIGITS)]);
    this.#parts = parts;
    const fixedBytes = parts.reduce((sum, part) => sum + part.length, this.#head.length);
    this.bytesMax = fixedBytes + 3 * DIGITS_MAX;
  }

  /** The head with room for the offset at its end, and the pieces between the other holes. */
  get pieces(): { head: Buffer; parts: readonly Buffer[] } {
    return { head: this.#head, parts: this.#parts };
  }

  /** Bytes encode() may write at most. */
  sizeMax(fields: ReplyFields): number {
    return this.bytesMax + fields.uniqueLength;
  }

  /** Encodes one reply at `at`. @returns the position behind it */
  encode(out: Buffer, at: number, fields: ReplyFields): number {
    const parts = this.#parts;
    let p = this.#copier.into(out).copy(at, this.#head, 0, this.#head.length);
    writeHex64(out, p - OFFSET_DIGITS, fields.physicalOffset);
    p = put(out, p, parts[0] as Buffer);
    p = putNumber(out, p, fields.queueId);
    p = put(out, p, parts[1] as Buffer);
    p = putNumber(out, p, fields.queueOffset);
    p = put(out, p, parts[2] as Buffer);
    p = putRange(out, p, fields);
    p = put(out, p, parts[3] as Buffer);
    p = putNumber(out, p, fields.opaque);
    p = put(out, p, parts[4] as Buffer);
    putInt32(out, at, p - at - 4);
    putInt32(out, at + 4, p - at - 8);
    return p;
  }
}

/**
 * A real reply of the codec, its keys put in an order that begins with all that never changes (so that
 * it is one copy), with marks instead of values, cut at the marks.
 */
function splitSample(options: ReplyTemplateOptions): Buffer[] {
  const sample = encodeResponse(0, {
    code: ResponseCode.SUCCESS,
    ext: { MSG_REGION: options.regionId, TRACE_ON: options.isTraceOn },
  });
  const { extFields, opaque: _, ...fixed } = JSON.parse(sample.toString('utf8', PREFIX_BYTES));
  const host = Buffer.alloc(options.storeHost.length * 2);
  writeHex(host, 0, options.storeHost, { start: 0, end: options.storeHost.length });
  const text = JSON.stringify({
    ...fixed,
    extFields: {
      ...extFields,
      msgId: `${host.toString('latin1')}@0@`,
      queueId: '@1@',
      queueOffset: '@2@',
      transactionId: '@3@',
    },
    opaque: MARK_OPAQUE,
  });
  const bytes = Buffer.concat([Buffer.alloc(PREFIX_BYTES), Buffer.from(text)]);
  return cutAtMarks(bytes, ['@0@', '@1@', '@2@', '@3@', String(MARK_OPAQUE)]);
}

function putRange(out: Buffer, at: number, fields: ReplyFields): number {
  const { unique, uniqueStart, uniqueLength } = fields;
  for (let i = 0; i < uniqueLength; i++) out[at + i] = unique[uniqueStart + i] as number;
  return at + uniqueLength;
}
