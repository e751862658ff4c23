// Memory shared by the store and the thread that checks link bytes: control words, and a ring of rows
// through which digests come back. One writer, one reader, no lock.
//
//   word 0 turn    counts up whenever the writer should look again; it sleeps on it
//        1 order   number of the latest order, odd while it is being written (a sequence lock)
//        2 3 4     the order: start offset (high, low), low word of the end of the bytes
//        5 6       row words written / read so far, modulo 2^32
//        7 wake    counts up whenever the reader should look; it waits on it
//        8 stop    1 = the thread shall end
//   row  record    see queue/digest/record-row.ts
//        others    a negative kind and its words, see ROW
// The end grows without a new order; its low word is enough because it never runs 4 GiB ahead.
// Invariant: a row is written whole before `written` moves over it, and never wraps round the end.
// Source: ours; publishing in batches costs 26-36 ns per entry, one by one several times that.
import type { RecordDigest } from '../queue/digest/record-digest.ts';
import { ROW_WORDS, readRow, rowLength, writeRow } from '../queue/digest/record-row.ts';

const TURN = 0;
const ORDER = 1;
const FROM_HIGH = 2;
const FROM_LOW = 3;
const END = 4;
const WRITTEN = 5;
const READ = 6;
const WAKE = 7;
const STOP = 8;
const CONTROL_WORDS = 16;
const WORD = 0x1_0000_0000;
/** 4 MiB: about 25 MiB of log in small records. A row with 32767 keys still fits many times. */
const RING_WORDS = 1 << 20;

/** Kinds of rows that are no record; a record's first word is its size, which is positive. */
export const ROW = {
  /** An order begins: its number. */
  begin: -1,
  /** All bytes up to an end (low word) were looked at; what is left of them is no whole record. */
  idle: -2,
  /** An end marker: bytes up to the end of the file. */
  blank: -3,
  /** The bytes at the position are damaged: why (index into DAMAGE). Nothing follows under this order. */
  damage: -4,
  /** A topic, before its first record: number, length, the bytes of the name. */
  topic: -5,
  /** Unused words up to the end of the ring. */
  skip: -6,
} as const;

/** What the checking thread is told when it starts. */
export interface CheckSetup {
  memory: SharedArrayBuffer;
  folder: string;
  fileSize: number;
  messageDelayLevel: string;
  hasIndex: boolean;
  comparesRecordCrc?: boolean;
}

export interface CheckOrder {
  number: number;
  from: number;
}

export class DigestRing {
  readonly memory: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #rows: Int32Array;
  readonly #capacity: number;
  /** Writer's and reader's own places; the shared words follow them. */
  #writing = 0;
  #reading = 0;
  /** The other side's place when it was looked at last. Why kept: an atomic load per row costs more
   * than the row's words. */
  #writtenSeen = 0;
  #readSeen = 0;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer((CONTROL_WORDS + RING_WORDS) * 4);
    this.#control = new Int32Array(this.memory, 0, CONTROL_WORDS);
    this.#rows = new Int32Array(this.memory, CONTROL_WORDS * 4);
    this.#capacity = this.#rows.length;
  }

  // The store's side: orders.

  /** Everything of earlier orders is void from now on. @returns the number of the order */
  order(from: number, end: number): number {
    const control = this.#control;
    Atomics.add(control, ORDER, 1);
    Atomics.store(control, FROM_HIGH, Math.floor(from / WORD));
    Atomics.store(control, FROM_LOW, from | 0);
    Atomics.store(control, END, end | 0);
    const number = Atomics.add(control, ORDER, 1) + 1;
    this.#turn();
    return number;
  }

  /** More bytes are in the files. */
  extend(end: number): void {
    Atomics.store(this.#control, END, end | 0);
    this.#turn();
  }

  stop(): void {
    Atomics.store(this.#control, STOP, 1);
    this.#turn();
  }

  // The store's side: rows.

  /** First word of the next row, 0 when there is none. */
  peek(): number {
    const rows = this.#rows;
    for (;;) {
      if (this.#reading === this.#writtenSeen) {
        this.#writtenSeen = Atomics.load(this.#control, WRITTEN);
        if (this.#reading === this.#writtenSeen) return 0;
      }
      const at = this.#placeOf(this.#reading);
      const first = rows[at]!;
      if (first !== ROW.skip) return first;
      this.#reading = (this.#reading + this.#capacity - at) | 0;
    }
  }

  /** Word `index` of the row under peek(). */
  word(index: number): number {
    return this.#rows[this.#placeOf(this.#reading) + index]!;
  }

  /** The record under peek(), but for its offset. @returns the number of its topic */
  record(into: RecordDigest): number {
    const at = this.#placeOf(this.#reading);
    readRow(this.#rows, at, into);
    return this.#rows[at + 1]!;
  }

  /** The rows from the one under peek() on that lie in one piece; a row that is no record ends them. */
  run(run: { at: number; end: number }): void {
    run.at = this.#placeOf(this.#reading);
    run.end = Math.min(this.#capacity, run.at + ((this.#writtenSeen - this.#reading) | 0));
  }

  /** Passes the rows before place `at` of a run. */
  takeTo(at: number): void {
    this.#reading = (this.#reading + at - this.#placeOf(this.#reading)) | 0;
  }

  /** Where the rows of a run lie. */
  get rows(): Int32Array {
    return this.#rows;
  }

  /** The name in the topic row under peek(). */
  topicName(): Buffer {
    const at = this.#placeOf(this.#reading) + 3;
    const shared = Buffer.from(this.#rows.buffer, this.#rows.byteOffset + at * 4, this.word(2));
    return Buffer.from(shared);
  }

  /** Passes the row under peek(). */
  take(): void {
    this.#reading = (this.#reading + this.#lengthAt(this.#placeOf(this.#reading))) | 0;
  }

  /** Gives the room of taken rows back to the writer. */
  release(): void {
    const control = this.#control;
    const before = Atomics.load(control, READ);
    if (before === this.#reading) return;
    Atomics.store(control, READ, this.#reading);
    // Why a quarter: a writer that found no room has filled more, also with what it published last.
    const used = (Atomics.load(control, WRITTEN) - before) | 0;
    if (used > this.#capacity / 4) this.#turn();
  }

  /** Resolves when the writer published something, at once when rows are there; never for a dead one. */
  async arrival(): Promise<void> {
    const seen = Atomics.load(this.#control, WAKE);
    if (this.peek() !== 0) return;
    await Atomics.waitAsync(this.#control, WAKE, seen).value;
  }

  // The checker's side.

  /** The order in force; undefined while one is being written. */
  currentOrder(): CheckOrder | undefined {
    const control = this.#control;
    const number = Atomics.load(control, ORDER);
    const high = Atomics.load(control, FROM_HIGH);
    const low = Atomics.load(control, FROM_LOW);
    if ((number & 1) === 1 || number !== Atomics.load(control, ORDER)) return undefined;
    return { number, from: high * WORD + (low >>> 0) };
  }

  /** Low word of the end; undefined when the order is no longer `number`. */
  endUnder(number: number): number | undefined {
    const end = Atomics.load(this.#control, END);
    return Atomics.load(this.#control, ORDER) === number ? end : undefined;
  }

  /**
   * Steps until the end is told; after a step that found nothing to do it sleeps. Blocks the thread.
   * Invariant: the turn is read before the look at the end and before the step: neither an end nor an
   * order that comes in between is slept over.
   */
  stepUntilStopped(step: () => boolean): void {
    for (;;) {
      const turn = this.turn();
      if (this.isStopped) return;
      if (!step()) this.sleep(turn);
    }
  }

  get isStopped(): boolean {
    return Atomics.load(this.#control, STOP) === 1;
  }

  turn(): number {
    return Atomics.load(this.#control, TURN);
  }

  /** Sleeps until there is a turn newer than `seen`. Blocks the thread. */
  sleep(seen: number): void {
    Atomics.wait(this.#control, TURN, seen);
  }

  /** False when there is no room for the record's row; nothing was written then. */
  putRecord(digest: RecordDigest, topic: number): boolean {
    const at = this.#room(ROW_WORDS + digest.keyCount);
    if (at < 0) return false;
    writeRow(this.#rows, at, digest, topic);
    return true;
  }

  /** Words that rows put at once may take: what is free up to the end of the ring. */
  roomForRows(): number {
    const at = this.#placeOf(this.#writing);
    this.#readSeen = Atomics.load(this.#control, READ);
    const free = this.#capacity - ((this.#writing - this.#readSeen) | 0);
    return Math.min(free, this.#capacity - at);
  }

  /** Whole rows of records, as putRecord writes them, no more words than there is room for. */
  putRows(rows: Int32Array): void {
    this.#rows.set(rows, this.#placeOf(this.#writing));
    this.#writing = (this.#writing + rows.length) | 0;
  }

  /** A row of one value; false when there is no room. */
  put(kind: number, value: number): boolean {
    const at = this.#room(2);
    if (at < 0) return false;
    this.#rows[at] = kind;
    this.#rows[at + 1] = value;
    return true;
  }

  putTopic(number: number, name: Buffer): boolean {
    const at = this.#room(3 + Math.ceil(name.length / 4));
    if (at < 0) return false;
    this.#rows[at] = ROW.topic;
    this.#rows[at + 1] = number;
    this.#rows[at + 2] = name.length;
    name.copy(Buffer.from(this.#rows.buffer, this.#rows.byteOffset + (at + 3) * 4, name.length));
    return true;
  }

  /** Shows the reader what was put since the last call. */
  publish(): void {
    if (Atomics.load(this.#control, WRITTEN) === this.#writing) return;
    Atomics.store(this.#control, WRITTEN, this.#writing);
    Atomics.add(this.#control, WAKE, 1);
    Atomics.notify(this.#control, WAKE);
  }

  /** Wakes the reader without a row: the writer is gone. */
  wakeReader(): void {
    Atomics.add(this.#control, WAKE, 1);
    Atomics.notify(this.#control, WAKE);
  }

  /** Place of a row of `words` words, or -1. */
  #room(words: number): number {
    const at = this.#placeOf(this.#writing);
    const left = this.#capacity - at;
    const needed = words > left ? left + words : words;
    const most = this.#capacity - needed;
    if (((this.#writing - this.#readSeen) | 0) > most) {
      this.#readSeen = Atomics.load(this.#control, READ);
      if (((this.#writing - this.#readSeen) | 0) > most) return -1;
    }
    this.#writing = (this.#writing + needed) | 0;
    if (needed === words) return at;
    this.#rows[at] = ROW.skip;
    return 0;
  }

  /** Why a mask: the capacity is a power of two, and places count modulo 2^32. */
  #placeOf(counter: number): number {
    return counter & (this.#capacity - 1);
  }

  #lengthAt(at: number): number {
    const first = this.#rows[at]!;
    if (first > 0) return rowLength(this.#rows, at);
    return first === ROW.topic ? 3 + Math.ceil(this.#rows[at + 2]! / 4) : 2;
  }

  #turn(): void {
    Atomics.add(this.#control, TURN, 1);
    Atomics.notify(this.#control, TURN);
  }
}
