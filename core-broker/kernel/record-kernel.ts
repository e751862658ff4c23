// Walks commit-log records in a WebAssembly memory: bytes are read into `bytes`, walk() checks what is
// there and leaves a row for each record. See source/records.ts for what it passes and what not.
// Its own tables and rows take 160 KiB, so that they and a piece of log stay in the second-level cache.
// Memory: [0, 8) answer | 17408 tables' end | 82944 topics' end, rows | 148480 the caller's bytes.
// Source: ours.
import { RECORDS } from './binary/records.ts';
import { WASM_PAGE_BYTES, type WasmMemory, wasmExports, wasmMemory, wasmModule } from './wasm.ts';

const ROWS_AT = 82_944;
const BYTES_AT = 148_480;
/** The kernel looks at sixteen bytes at a time. */
const SPARE_BYTES = 16;

export const ROWS_WORDS_MAX = (BYTES_AT - ROWS_AT) / 4;

interface Exports {
  prepare(): void;
  configure(hasIndex: boolean): void;
  forget(): void;
  know(from: number, to: number, number: number, keyHash: number): void;
  walk(from: number, to: number, offset: number, roomWords: number): void;
  crc32(from: number, to: number): number;
}

/** Where a topic's name stands in `bytes`, its number in rows, and the Java hash of `name#`. */
export interface KnownTopic {
  start: number;
  length: number;
  number: number;
  keyHash: number;
}

export interface WalkRange {
  /** Place of the first record in `bytes`, and end of what is known there. */
  from: number;
  to: number;
  /** Offset in the log of the first record. */
  offset: number;
  /** Bytes from there to the end of its log file. */
  fileLeft: number;
  /** Words that rows may take. */
  roomWords: number;
}

let module: object | undefined;

export class RecordKernel {
  /** The caller's. Replaced by grow(). */
  bytes: Buffer;
  /** Behind the last record that was walked, in `bytes`. */
  next = 0;
  /** Words of rows that the last walk wrote. */
  words = 0;
  readonly #memory: WasmMemory;
  readonly #exports: Exports;
  #answer: Int32Array;
  #rows: Int32Array;

  constructor(bytes: number, hasIndex: boolean) {
    module ??= wasmModule(RECORDS);
    this.#memory = wasmMemory(BYTES_AT + bytes + SPARE_BYTES);
    this.#exports = wasmExports<Exports>(module, this.#memory);
    this.#exports.prepare();
    this.#exports.configure(hasIndex);
    [this.bytes, this.#answer, this.#rows] = this.#views(bytes);
  }

  /** Room for more: `bytes` is another buffer then, with the same beginning. */
  grow(bytes: number): void {
    const missing = BYTES_AT + bytes + SPARE_BYTES - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / WASM_PAGE_BYTES));
    [this.bytes, this.#answer, this.#rows] = this.#views(bytes);
  }

  /** Records of a topic are walked only when it is known; it may be forgotten for another. */
  know(topic: KnownTopic): void {
    const from = BYTES_AT + topic.start;
    this.#exports.know(from, from + topic.length, topic.number, topic.keyHash);
  }

  /** Numbers of topics mean others from now on. */
  forget(): void {
    this.#exports.forget();
  }

  /** Sets `next` and `words`; stops before the first record that is not whole, sound and usual. */
  walk(range: WalkRange): void {
    const { from, offset } = range;
    const to = Math.min(range.to, from + range.fileLeft);
    const room = Math.min(range.roomWords, ROWS_WORDS_MAX);
    this.#exports.walk(BYTES_AT + from, BYTES_AT + to, offset, room);
    this.next = this.#answer[0]! - BYTES_AT;
    this.words = this.#answer[1]!;
  }

  /** Rows of the last walk; overwritten by the next. */
  rows(): Int32Array {
    return this.#rows.subarray(0, this.words);
  }

  /** CRC-32 of bytes [start, end). */
  crc32(start: number, end: number): number {
    return this.#exports.crc32(BYTES_AT + start, BYTES_AT + end) >>> 0;
  }

  #views(bytes: number): [Buffer, Int32Array, Int32Array] {
    const { buffer } = this.#memory;
    return [
      Buffer.from(buffer, BYTES_AT, bytes),
      new Int32Array(buffer, 0, 2),
      new Int32Array(buffer, ROWS_AT, ROWS_WORDS_MAX),
    ];
  }
}
