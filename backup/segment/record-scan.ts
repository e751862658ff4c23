// Proves the records of one range of a log file while its bytes are in memory for archiving.
// The one idea: a range owns the records that begin in it. Ranges are read in parallel, so a range in
// the middle does not know where its first record begins: it looks for a record head that says exactly
// the offset it stands at. Whoever has the answers of all ranges proves them by chaining: each range
// must end where the next one begins (archive-files.ts); a wrong guess breaks the chain and is found.
// Invariant: every byte of the range is seen as part of a proven record, or `isSound` is false, or the
// chain is broken.
import {
  emptyView,
  RECORD_HEAD_BYTES,
  type RecordKind,
  readRecord,
  seekHead,
} from '../log/index.ts';

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

/** Walks one range whose bytes arrive front to back in one buffer. */
export class RangeScanner {
  readonly #bytes: Buffer;
  readonly #target: ScanTarget;
  /** Position in the file of the first byte of the buffer. */
  readonly #position: number;
  readonly #view = emptyView();
  readonly #scan: RangeScan = { isSound: true, first: undefined, end: undefined, records: 0 };
  /** Index in the buffer of the next record; while seeking, of the first byte not yet looked at. */
  #at = 0;
  #isSeeking: boolean;
  #isEnded = false;

  /** @param bytes  the whole range; valid up to what advance() was told */
  constructor(bytes: Buffer, position: number, target: ScanTarget) {
    this.#bytes = bytes;
    this.#position = position;
    this.#target = target;
    this.#isSeeking = target.firstOffset === undefined;
    if (target.firstOffset !== undefined) this.#begin(target.firstOffset);
  }

  /** Walks the whole records among the first `filled` bytes. */
  advance(filled: number): void {
    if (this.#isSeeking) this.#seek(filled);
    if (this.#isSeeking) return;
    while (!this.#isEnded && this.#at < filled) {
      const kind = this.#judge(this.#bytes, this.#at, filled);
      if (kind === 'short') return;
      this.#take(kind);
    }
  }

  /** After the last advance: takes the record that reaches over the end of the range. */
  finish(readBeyond: ReadBeyond): RangeScan {
    if (!this.#isSeeking && !this.#isEnded && this.#at < this.#bytes.length) {
      this.#takeLast(readBeyond);
    }
    return this.#scan;
  }

  #begin(firstOffset: number): void {
    this.#at = firstOffset - this.#target.startOffset - this.#position;
    this.#scan.first = firstOffset;
    this.#scan.end = firstOffset;
  }

  #seek(filled: number): void {
    const offset = this.#target.startOffset + this.#position;
    const found = seekHead(this.#bytes.subarray(0, filled), this.#at, offset);
    if (found !== undefined) {
      this.#isSeeking = false;
      this.#begin(offset + found);
      return;
    }
    // A head may be cut by the end of what is filled.
    this.#at = Math.max(this.#at, filled - RECORD_HEAD_BYTES + 1);
  }

  #judge(bytes: Buffer, at: number, end: number): RecordKind {
    const physicalOffset = this.#target.startOffset + this.#position + this.#at;
    return readRecord({ bytes, at, end, physicalOffset }, this.#view);
  }

  #take(kind: RecordKind): void {
    const position = this.#position + this.#at;
    const { sizeBytes } = this.#view;
    const isRolled = kind === 'blank' && position + sizeBytes === this.#target.dataBytes;
    this.#isEnded = kind !== 'record';
    if (kind !== 'record' && !isRolled) {
      this.#scan.isSound = false;
      return;
    }
    if (kind === 'record') this.#scan.records += 1;
    this.#at += sizeBytes;
    this.#scan.end = this.#target.startOffset + position + sizeBytes;
  }

  #takeLast(readBeyond: ReadBeyond): void {
    const head = this.#bytes.subarray(this.#at);
    const left = this.#target.dataBytes - this.#position - this.#at;
    // Even the size may be cut: the head is joined first.
    let bytes = this.#join(head, Math.min(left, RECORD_HEAD_BYTES), readBeyond);
    let kind = this.#judge(bytes, 0, bytes.length);
    const sizeBytes = bytes.length >= 4 ? bytes.readInt32BE(0) : 0;
    if (kind === 'short' && sizeBytes > bytes.length && sizeBytes <= left) {
      bytes = this.#join(head, sizeBytes, readBeyond);
      kind = this.#judge(bytes, 0, bytes.length);
    }
    this.#take(kind === 'short' ? 'invalid' : kind);
  }

  #join(head: Buffer, length: number, readBeyond: ReadBeyond): Buffer {
    if (head.length >= length) return head;
    const whole = Buffer.allocUnsafe(length);
    head.copy(whole);
    readBeyond(whole.subarray(head.length), this.#position + this.#bytes.length);
    return whole;
  }
}
