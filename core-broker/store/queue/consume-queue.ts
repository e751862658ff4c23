// One consume queue: fixed 20-byte entries (int64 physicalOffset, int32 size, int64 tagsCode) in files
// of one size. Entry n lies at byte n * 20, so queue offset and position are the same thing.
// The newest entries live in a tail buffer: reads near the end touch no file, writes go out in runs. An
// idle queue gives it back, and holds no file open: tens of thousands of queues cost a few hundred bytes
// each and no work.
// Invariant: entries [min, max) are dense; max only grows except by cut(). The queue is derived from
// the log: whatever is lost here is built again from there.
// `next` is the counter that append hands out; it runs ahead of max by what is not yet dispatched.
// Source: RocketMQ ConsumeQueue, behaviour only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../base/index.ts';
import type { QueueRef } from '../door.ts';
import { CQ_BLANK_SIZE, CQ_ENTRY_BYTES, mappedFileName, mappedFileOffset } from '../layout.ts';
import { int32At, int64At, writeInt32 } from '../log/record-bytes.ts';
import { longAt, RowWord } from './digest/record-row.ts';
import type { QueueFiles } from './queue-files.ts';

const NO_BYTES = Buffer.alloc(0);
const NO_WORDS = new DataView(new ArrayBuffer(0));
const TAIL_ENTRIES_FIRST = 64;
const TAIL_ENTRIES_MAX = 4096;
/** A hole larger than this is not padded: the offset in the record must be wrong. */
const PAD_ENTRIES_MAX = 50_000_000;
const SCAN_ENTRIES = 4096;
/** Entries of a read from a file, at least: those of the next pulls come along. */
const READ_ENTRIES = 256;
const WORTH_ENTRIES = 32;
/** Queues whose last read is kept. */
const LAST_READS_MAX = 64;
/** Entries of the first look: most queues of a large store are short. */
const LOOK_ENTRIES = 64;

/** What became of an entry: added, known already, or not the next one. */
export type PutVerdict = 'added' | 'known' | 'gap';

export interface EntryRun {
  bytes: Buffer;
  /** Position of the first entry in bytes. */
  at: number;
  count: number;
}

/** What all queues of a store share. */
export interface QueueHome {
  readonly root: string;
  readonly fileSize: number;
  readonly files: QueueFiles;
  /** What was read from files last, of a few queues: one pull looks at its entries more than once. */
  readonly lastReads: Map<ConsumeQueue, EntryRun & { from: number }>;
  /** Told when a queue gets its first entry that is not in a file. */
  noteDirty(queue: ConsumeQueue): void;
}

export class ConsumeQueue implements QueueRef {
  readonly topic: string;
  readonly queueId: number;
  next = 0;
  min = 0;
  max = 0;
  readonly #home: QueueHome;
  #tail: Buffer = NO_BYTES;
  /** All of #tail. */
  #tailWords = NO_WORDS;
  /** Queue offset of the first entry in the tail. */
  #tailStart = 0;
  /** Entries below are in the files. */
  #written = 0;
  #firstFile = -1;
  #lastFile = -1;
  #isDirty = false;
  /** Start and name of the file that was asked for last. */
  #pathStart = -1;
  #path = '';
  /** Queue offset of the entry that was looked at last by itself, and what stands there. */
  #seen = -1;
  #seenPhysical = 0;
  #seenSize = 0;

  constructor(ref: QueueRef, home: QueueHome) {
    this.topic = ref.topic;
    this.queueId = ref.queueId;
    this.#home = home;
  }

  get folder(): string {
    return path.join(this.#home.root, this.topic, String(this.queueId));
  }

  /** Entries are only in memory, or the newest ones are kept there too. */
  get hasTail(): boolean {
    return this.#tail.length > 0;
  }

  /** The piece of a file that holds entry n; undefined while it lies in the tail. */
  placeOf(n: number): { file: string; position: number } | undefined {
    if (n >= this.#tailStart) return undefined;
    const at = n * CQ_ENTRY_BYTES;
    const position = at % this.#home.fileSize;
    return { file: this.#pathOf(at - position), position };
  }

  get isEmpty(): boolean {
    return this.max === this.min;
  }

  /** Whether the queue has ever had entries. */
  get exists(): boolean {
    return this.max > 0;
  }

  /** Physical offset of entry n; -1 for a pre-blank one. n must be in [0, max). */
  physicalAt(n: number): number {
    this.#look(n);
    return this.#seenSize === CQ_BLANK_SIZE ? -1 : this.#seenPhysical;
  }

  sizeAt(n: number): number {
    this.#look(n);
    return this.#seenSize;
  }

  /**
   * Adds the entry of one record. tagHigh and tagLow are the two halves of its tagsCode.
   * 'gap' changed nothing.
   */
  put(n: number, record: { physicalOffset: number; size: number }, tag: TagWords): PutVerdict {
    if (n < this.max) return 'known';
    if (n > this.max) {
      if (this.max > 0) return 'gap';
      this.#startAt(n);
    }
    this.#room();
    const at = (this.max - this.#tailStart) * CQ_ENTRY_BYTES;
    const words = this.#tailWords;
    const { physicalOffset } = record;
    words.setInt32(at, Math.floor(physicalOffset / 0x1_0000_0000));
    words.setInt32(at + 4, physicalOffset | 0);
    words.setInt32(at + 8, record.size);
    words.setInt32(at + 12, tag.high);
    words.setInt32(at + 16, tag.low);
    this.max++;
    if (this.next < this.max) this.next = this.max;
    if (!this.#isDirty) {
      this.#isDirty = true;
      this.#home.noteDirty(this);
    }
    return 'added';
  }

  /**
   * The entry of a record's row (digest/record-row.ts), when it is the next one and takes no more than
   * a few words in the tail. False: nothing was done, put() knows what to do.
   */
  putRow(row: Int32Array, at: number, physicalOffset: number): boolean {
    const n = this.max;
    const to = (n - this.#tailStart) * CQ_ENTRY_BYTES;
    const isNext = longAt(row, at + RowWord.queueOffset) === n;
    if (!isNext || !this.#isDirty || to >= this.#tail.length) return false;
    const words = this.#tailWords;
    words.setInt32(to, Math.floor(physicalOffset / 0x1_0000_0000));
    words.setInt32(to + 4, physicalOffset | 0);
    words.setInt32(to + 8, row[at]!);
    words.setInt32(to + 12, row[at + RowWord.tagsCode]!);
    words.setInt32(to + 16, row[at + RowWord.tagsCode + 1]!);
    this.max = n + 1;
    if (this.next <= n) this.next = n + 1;
    return true;
  }

  /**
   * Pads up to n with pre-blank entries, so that offset and position stay the same thing.
   * @throws DrError CORRUPT when the hole is beyond reason
   */
  padTo(n: number): void {
    if (n - this.max > PAD_ENTRIES_MAX) {
      throw new DrError('CORRUPT', `${this.folder}: hole from ${this.max} to ${n}`, {
        context: { file: this.folder, offset: this.max },
      });
    }
    const blank = { physicalOffset: 0, size: CQ_BLANK_SIZE };
    while (this.max < n) this.put(this.max, blank, { high: 0, low: 0 });
  }

  /** Entries from n on, at most `count`, as many as lie in one piece (at least one). */
  read(n: number, count: number): EntryRun {
    if (n >= this.#tailStart) {
      const at = (n - this.#tailStart) * CQ_ENTRY_BYTES;
      return { bytes: this.#tail, at, count: Math.min(count, this.max - n) };
    }
    return this.#lastRead(n, count) ?? this.#readFile(n, count, READ_ENTRIES);
  }

  #lastRead(n: number, count: number): EntryRun | undefined {
    const last = this.#home.lastReads.get(this);
    if (last === undefined || n < last.from) return undefined;
    const skipped = n - last.from;
    const left = Math.min(count, last.count - skipped);
    // Why not a few: a pull would look at them and then read in any case.
    if (left < Math.min(count, WORTH_ENTRIES)) return undefined;
    return { bytes: last.bytes, at: last.at + skipped * CQ_ENTRY_BYTES, count: left };
  }

  /** @param least  entries to read at least, for the next pulls; 0 = nobody goes on from here */
  #readFile(n: number, count: number, least = 0): EntryRun {
    const position = n * CQ_ENTRY_BYTES;
    const inFile = position % this.#home.fileSize;
    const there = Math.min(this.#tailStart - n, (this.#home.fileSize - inFile) / CQ_ENTRY_BYTES);
    const held = Math.min(Math.max(count, least), there);
    const bytes = Buffer.allocUnsafe(held * CQ_ENTRY_BYTES);
    const fd = this.#home.files.open(this.#pathOf(position - inFile));
    const got = fs.readSync(fd, bytes, 0, bytes.length, inFile);
    // Why: behind the end of a short file stands nothing, not what this memory held before.
    if (got < bytes.length) bytes.fill(0, got);
    if (least > 0) this.#keepRead({ bytes, at: 0, count: held, from: n });
    return { bytes, at: 0, count: Math.min(count, held) };
  }

  #keepRead(read: EntryRun & { from: number }): void {
    const { lastReads } = this.#home;
    if (read.bytes.length > READ_ENTRIES * CQ_ENTRY_BYTES) return;
    lastReads.set(this, read);
    if (lastReads.size <= LAST_READS_MAX) return;
    for (const oldest of lastReads.keys()) {
      lastReads.delete(oldest);
      return;
    }
  }

  /** Writes entries that are only in memory; the queue stays complete there until it returns. */
  writeOut(): void {
    this.#writePending();
    this.#isDirty = false;
  }

  /** Gives the memory of an idle queue back; false when it has entries that are in no file. */
  releaseTail(): boolean {
    if (this.#written < this.max) return false;
    this.#setEnd(this.max, this.next);
    return true;
  }

  #writePending(): void {
    while (this.#written < this.max) {
      const position = this.#written * CQ_ENTRY_BYTES;
      const inFile = position % this.#home.fileSize;
      const file = this.#pathOf(position - inFile);
      const fd = this.#home.files.open(file, this.#home.fileSize);
      const pending = (this.max - this.#written) * CQ_ENTRY_BYTES;
      const length = Math.min(pending, this.#home.fileSize - inFile);
      const from = (this.#written - this.#tailStart) * CQ_ENTRY_BYTES;
      const done = fs.writeSync(fd, this.#tail, from, length, inFile);
      this.#home.files.dirty.add(file);
      this.#noteFile(position - inFile);
      // Why floor: a short write counts only whole entries; the rest is written again.
      this.#written += Math.floor(done / CQ_ENTRY_BYTES);
    }
  }

  /**
   * Reads what the files hold, up to the first entry that is none or, when the checkpoint vouches for
   * everything below an offset of the log, to the first that points at or beyond it.
   * Ends with max and the counter set; min is set by trimTo.
   * @param soundEnd  entries below this log offset are on disk for sure; undefined = nobody knows
   */
  recover(soundEnd: number | undefined): void {
    const starts = listQueueFiles(this.folder);
    if (starts.length === 0) return;
    this.#firstFile = starts[0]!;
    this.#lastFile = starts.at(-1)!;
    // A crash between making a file and giving it its size; a stock broker refuses such a store.
    this.#home.files.open(this.#pathOf(this.#lastFile), this.#home.fileSize);
    const limit = (this.#lastFile + this.#home.fileSize) / CQ_ENTRY_BYTES;
    this.min = this.#firstFile / CQ_ENTRY_BYTES;
    this.#setEnd(limit);
    const scanFrom = (starts.at(-3) ?? this.#firstFile) / CQ_ENTRY_BYTES;
    const end = soundEnd === undefined ? this.#scanFrom(scanFrom, limit) : this.#soundEnd(soundEnd);
    this.#setEnd(end);
  }

  /** End of the good entries from n on, every one looked at: a crash may have left holes. */
  #scanFrom(from: number, limit: number): number {
    let n = from;
    for (let wanted = LOOK_ENTRIES; n < limit; wanted = SCAN_ENTRIES) {
      const run = this.#readFile(n, wanted);
      const good = this.#countGood(n, run, Number.MAX_SAFE_INTEGER);
      n += good;
      if (good < run.count) break;
    }
    return n;
  }

  /** The same below an offset under which there are no holes: one look, or a binary search. */
  #soundEnd(soundEnd: number): number {
    const start = this.#lastFile / CQ_ENTRY_BYTES;
    const run = this.#readFile(start, LOOK_ENTRIES);
    const good = this.#countGood(start, run, soundEnd);
    const isEndHere = good > 0 || this.#firstFile === this.#lastFile;
    if (good < run.count && isEndHere) return start + good;
    const isSound = (n: number) => this.sizeAt(n) > 0 && this.physicalAt(n) < soundEnd;
    return this.#firstNot(isSound, this.max);
  }

  /** Entries of a run up to the first that is none or points at or beyond `soundEnd`. */
  #countGood(n: number, run: EntryRun, soundEnd: number): number {
    let good = 0;
    for (; good < run.count; good++) {
      const at = run.at + good * CQ_ENTRY_BYTES;
      if (int32At(run.bytes, at + 8) <= 0 || int32At(run.bytes, at) < 0) break;
      if (int64At(run.bytes, at) >= soundEnd) break;
    }
    if (good > 0) this.#see(n + good - 1, run, run.at + (good - 1) * CQ_ENTRY_BYTES);
    return good;
  }

  /** Removes entries that point at or beyond the end of the log. */
  cut(logEnd: number): void {
    if (this.isEmpty || this.physicalAt(this.max - 1) < logEnd) return;
    const end = this.#firstNot((n) => this.physicalAt(n) < logEnd, this.max);
    if (end < this.max) this.#cutTo(end);
  }

  /** Moves min to the first entry inside the log and deletes files that are wholly below. */
  trimTo(logMin: number): void {
    this.min = this.#firstNot((n) => this.physicalAt(n) < logMin, this.max);
    const keep = Math.min(this.#fileStart(this.min), this.#lastFile);
    while (this.#firstFile >= 0 && this.#firstFile < keep) {
      this.#removeFile(this.#firstFile);
      this.#firstFile += this.#home.fileSize;
    }
  }

  /** First n in [min, high) for which `holds` is false, or high; it holds for a first part of them. */
  #firstNot(holds: (n: number) => boolean, high: number): number {
    let low = this.min;
    if (low < high && !holds(low)) return low;
    let top = high;
    while (low < top) {
      const middle = Math.floor((low + top) / 2);
      if (holds(middle)) low = middle + 1;
      else top = middle;
    }
    return low;
  }

  /** Deletes the whole queue from disk and memory. */
  wipe(): void {
    for (const start of listQueueFiles(this.folder)) this.#removeFile(start);
    this.#firstFile = -1;
    this.#lastFile = -1;
    this.min = 0;
    this.#setEnd(0);
  }

  /**
   * An empty queue goes on at n: its messages are gone from the log, its numbers are not used again.
   * Durable with the next sync of the queue files.
   */
  beginAt(n: number): void {
    if (this.max === 0 && n > 0) this.#startAt(n);
  }

  /** Why pre-blank: Apache opens a queue that starts in the middle only with padded entries. */
  #startAt(n: number): void {
    const position = n * CQ_ENTRY_BYTES;
    const fileStart = position - (position % this.#home.fileSize);
    const file = this.#pathOf(fileStart);
    const fd = this.#home.files.open(file, this.#home.fileSize);
    const blank = Buffer.alloc(Math.min(position - fileStart, this.#home.fileSize));
    for (let at = 8; at < blank.length; at += CQ_ENTRY_BYTES) writeInt32(blank, at, CQ_BLANK_SIZE);
    if (blank.length > 0) fs.writeSync(fd, blank, 0, blank.length, 0);
    this.#home.files.dirty.add(file);
    this.#noteFile(fileStart);
    this.min = n;
    this.#setEnd(n);
  }

  /** Makes room for one entry: grow, then write out and keep the newer half as cache. */
  #room(): void {
    const held = this.max - this.#tailStart;
    const capacity = this.#tail.length / CQ_ENTRY_BYTES;
    if (held < capacity) return;
    if (capacity < TAIL_ENTRIES_MAX) {
      const grown = Buffer.alloc(Math.max(TAIL_ENTRIES_FIRST, capacity * 2) * CQ_ENTRY_BYTES);
      this.#tail.copy(grown);
      this.#tail = grown;
      this.#tailWords = new DataView(grown.buffer, grown.byteOffset, grown.length);
      return;
    }
    this.#writePending();
    const keep = capacity / 2;
    this.#tail.copyWithin(0, (held - keep) * CQ_ENTRY_BYTES, held * CQ_ENTRY_BYTES);
    this.#tailStart = this.max - keep;
  }

  #look(n: number): void {
    if (n === this.#seen) return;
    const isInTail = n >= this.#tailStart;
    const run = isInTail ? this.read(n, 1) : (this.#lastRead(n, 1) ?? this.#readFile(n, 1));
    this.#see(n, run, run.at);
  }

  #see(n: number, { bytes }: EntryRun, at: number): void {
    this.#seen = n;
    this.#seenPhysical = int64At(bytes, at);
    this.#seenSize = int32At(bytes, at + 8);
  }

  /** Everything below `end` is in the files, the tail is empty. */
  #setEnd(end: number, next = end): void {
    if (this.#seen >= end) this.#seen = -1;
    this.#home.lastReads.delete(this);
    this.#tail = NO_BYTES;
    this.#tailWords = NO_WORDS;
    this.max = end;
    this.next = next;
    this.#written = end;
    this.#tailStart = end;
  }

  #cutTo(end: number): void {
    this.writeOut();
    const cutFile = this.#fileStart(end);
    while (this.#lastFile > cutFile && this.#lastFile > this.#firstFile) {
      this.#removeFile(this.#lastFile);
      this.#lastFile -= this.#home.fileSize;
    }
    if (this.#lastFile === cutFile) {
      const fd = this.#home.files.open(this.#pathOf(cutFile), this.#home.fileSize);
      fs.ftruncateSync(fd, end * CQ_ENTRY_BYTES - cutFile);
      fs.ftruncateSync(fd, this.#home.fileSize);
    }
    this.min = Math.min(this.min, end);
    this.#setEnd(end);
  }

  #fileStart(n: number): number {
    const position = n * CQ_ENTRY_BYTES;
    return position - (position % this.#home.fileSize);
  }

  /** Why kept: to make it costs more than to read the entries of a pull. */
  #pathOf(fileStart: number): string {
    if (this.#pathStart !== fileStart) {
      this.#path = path.join(this.folder, mappedFileName(fileStart));
      this.#pathStart = fileStart;
    }
    return this.#path;
  }

  #noteFile(fileStart: number): void {
    if (this.#firstFile < 0) this.#firstFile = fileStart;
    if (fileStart > this.#lastFile) this.#lastFile = fileStart;
  }

  #removeFile(fileStart: number): void {
    const file = this.#pathOf(fileStart);
    this.#home.files.drop(file);
    fs.rmSync(file, { force: true });
  }
}

/** The halves of an int64 tagsCode. */
export interface TagWords {
  high: number;
  low: number;
}

function listQueueFiles(folder: string): number[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder)
    .map(mappedFileOffset)
    .filter((start) => start !== undefined)
    .sort((left, right) => left - right);
}
