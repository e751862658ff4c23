// Proves the records of one range of a log file while its bytes are in memory for archiving.
// The one idea: a range owns the records that begin in it. Ranges are read in parallel, so a range in
// the middle does not know where its first record begins: it looks for a record head that says exactly
// the offset it stands at. Whoever has the answers of all ranges proves them by chaining: each range
// must end where the next one begins (archive-files.ts); a wrong guess breaks the chain and is found.
// Invariant: every byte of the range is seen as part of a proven record, or `isSound` is false, or the
// chain is broken.
import {
  emptyView,
  RECORD_BYTES_MAX,
  RECORD_HEAD_BYTES,
  type RecordKind,
  readRecord,
} from '../log/record.ts';
import { seekHead } from '../log/resync.ts';

/** What is known of the file a range belongs to. */
export interface ScanTarget {
  /** Physical offset of the file's first byte. */
  startOffset: number;
  /** Bytes of the file that are archived: a blank marker must span exactly the rest of them. */
  dataBytes: number;
  /** Physical offset of the first record that begins in the range; undefined: look for it. */
  firstOffset: number | undefined;
}

export interface RangeScan {
  /** False: a byte in the range is no valid record. */
  isSound: boolean;
  /** Physical offset of the first record that begins here; undefined when none does. */
  first: number | undefined;
  /** Behind the last record that begins here. */
  end: number | undefined;
  records: number;
}

/** Reads bytes of the file that lie behind the range, for the record that reaches over its end. */
export type ReadBeyond = (into: Buffer, position: number) => void;

const NOTHING: Buffer = Buffer.alloc(0);

/** Walks one range whose bytes arrive front to back, chunk by chunk. */
export class RangeScanner {
  readonly #target: ScanTarget;
  readonly #view = emptyView();
  readonly #scan: RangeScan = { isSound: true, first: undefined, end: undefined, records: 0 };
  /** Position in the file of the first byte that is not judged yet. */
  #position: number;
  /** Position in the file of the next byte to arrive. */
  #next: number;
  /** Own copy of [#position, #next): a record that is cut; while seeking, what may be a cut head. */
  #rest = NOTHING;
  #isSeeking: boolean;
  #isEnded = false;

  constructor(position: number, target: ScanTarget) {
    this.#target = target;
    this.#position = position;
    this.#next = position;
    this.#isSeeking = target.firstOffset === undefined;
    if (target.firstOffset !== undefined) this.#begin(target.firstOffset);
  }

  /** Walks the next bytes of the range; the caller may reuse their memory. */
  advance(chunk: Buffer): void {
    const base = this.#next;
    this.#next += chunk.length;
    if (this.#isEnded) return;
    if (this.#isSeeking) {
      this.#seek(chunk);
      return;
    }
    if (this.#rest.length > 0) this.#completeRest(chunk);
    if (this.#rest.length === 0) this.#walk(chunk, base);
  }

  /** After the last advance: takes the record that reaches over the end of the range. */
  finish(readBeyond: ReadBeyond): RangeScan {
    // Twice at most: with less than four bytes of a record even its size is cut.
    while (!this.#isSeeking && this.#rest.length > 0) {
      const beyond = Buffer.allocUnsafe(this.#wanted(NOTHING) - this.#rest.length);
      readBeyond(beyond, this.#next);
      this.#next += beyond.length;
      this.#completeRest(beyond);
    }
    return this.#scan;
  }

  #begin(firstOffset: number): void {
    this.#position = firstOffset - this.#target.startOffset;
    this.#scan.first = firstOffset;
    this.#scan.end = firstOffset;
  }

  #seek(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const base = this.#next - bytes.length;
    const offset = this.#target.startOffset + base;
    const found = seekHead(bytes, 0, offset);
    if (found === undefined) {
      // A head may be cut by the end of the chunk.
      this.#rest = Buffer.from(bytes.subarray(Math.max(0, bytes.length - RECORD_HEAD_BYTES + 1)));
      return;
    }
    this.#rest = NOTHING;
    this.#isSeeking = false;
    this.#begin(offset + found);
    this.#walk(bytes, base);
  }

  /** @param base  position in the file of bytes[0] */
  #walk(bytes: Buffer, base: number): void {
    let at = this.#position - base;
    while (!this.#isEnded && at < bytes.length) {
      const kind = this.#judge(bytes, at);
      if (kind === 'short') {
        this.#rest = Buffer.from(bytes.subarray(at));
        return;
      }
      this.#take(kind);
      at = this.#position - base;
    }
  }

  /** Joins the cut record with the chunk behind it; what the chunk lacks stays for the next one. */
  #completeRest(chunk: Buffer): void {
    const wanted = this.#wanted(chunk);
    this.#rest = Buffer.concat([this.#rest, chunk.subarray(0, wanted - this.#rest.length)]);
    const kind = this.#judge(this.#rest, 0);
    if (kind === 'short' && this.#rest.length < wanted) return;
    this.#rest = NOTHING;
    this.#take(kind === 'short' ? 'invalid' : kind);
  }

  /** Bytes that decide about the cut record: its size where that is plausible, else a head. */
  #wanted(chunk: Buffer): number {
    const left = this.#target.dataBytes - this.#position;
    const size = Buffer.concat([this.#rest.subarray(0, 4), chunk.subarray(0, 4)]);
    const sizeBytes = size.length >= 4 ? size.readInt32BE(0) : 0;
    const sizeMax = Math.min(left, RECORD_BYTES_MAX);
    const isPlausible = sizeBytes >= RECORD_HEAD_BYTES && sizeBytes <= sizeMax;
    const wanted = isPlausible ? sizeBytes : Math.min(left, RECORD_HEAD_BYTES);
    return Math.max(wanted, this.#rest.length);
  }

  #judge(bytes: Buffer, at: number): RecordKind {
    const physicalOffset = this.#target.startOffset + this.#position;
    return readRecord({ bytes, at, end: bytes.length, physicalOffset }, this.#view);
  }

  #take(kind: RecordKind): void {
    const { sizeBytes } = this.#view;
    const isRolled = kind === 'blank' && this.#position + sizeBytes === this.#target.dataBytes;
    this.#isEnded = kind !== 'record';
    if (kind !== 'record' && !isRolled) {
      this.#scan.isSound = false;
      return;
    }
    if (kind === 'record') this.#scan.records += 1;
    this.#position += sizeBytes;
    this.#scan.end = this.#target.startOffset + this.#position;
  }
}
