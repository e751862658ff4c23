// One index file in Apache's format: 40-byte header, hash slots, entries in order of arrival.
//   header: 0 beginTimestamp 8 endTimestamp 16 beginPhyOffset 24 endPhyOffset 32 slots used 36 next number
//   slot:   int32 number of the newest entry with this hash, 0 = none
//   entry:  int32 keyHash, int64 physicalOffset, int32 seconds since beginTimestamp, int32 previous
// The slots of the file being written live in memory (random access), entries are buffered and go out
// in runs. An entry is chained to its slot when its run goes out: a whole run of slot accesses in a
// tight loop overlaps their cache misses, one access per record waits for each.
// Order on disk: entries, then the header that counts them; slots follow seldom.
// Invariant: after a crash slots are never trusted but replayed from the counted entries.
import * as fs from 'node:fs';
import {
  INDEX_ENTRY_BYTES,
  INDEX_HEADER_BYTES,
  INDEX_SLOT_BYTES,
  indexFileSize,
} from '../layout.ts';
import { int64At } from '../log/record-bytes.ts';

const PENDING_ENTRIES_MAX = 4096;
const REPLAY_ENTRIES = 50_000;
const SLOT_RUN_BITS = 16;
const SLOT_RUN = 1 << SLOT_RUN_BITS;
/** Slots of the entries that are being chained, then what they led to. */
const places = new Int32Array(PENDING_ENTRIES_MAX);

export interface IndexShape {
  slots: number;
  entries: number;
}

export interface IndexEntry {
  keyHash: number;
  physicalOffset: number;
  seconds: number;
  previous: number;
}

export class IndexFile {
  readonly path: string;
  beginTimestampMs = 0;
  endTimestampMs = 0;
  beginOffset = 0;
  endOffset = 0;
  /** Number the next entry gets; numbers start at 1. */
  next = 1;
  readonly #fd: number;
  readonly #shape: IndexShape;
  #slotsUsed = 0;
  #slots: Int32Array | undefined;
  #isSlotDirty = new Uint8Array(0);
  readonly #pending = Buffer.alloc(PENDING_ENTRIES_MAX * INDEX_ENTRY_BYTES);
  readonly #words = new DataView(this.#pending.buffer, this.#pending.byteOffset);
  /** First entry number that is only in #pending. */
  #pendingFrom = 1;
  /** First entry number that no slot leads to yet. */
  #unchainedFrom = 1;

  constructor(file: string, shape: IndexShape) {
    this.path = file;
    this.#shape = shape;
    this.#fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const size = indexFileSize(shape.slots, shape.entries);
    try {
      if (fs.fstatSync(this.#fd).size !== size) fs.ftruncateSync(this.#fd, size);
      this.#readHeader();
    } catch (reason) {
      // Why: a full disk is tried again every 100 ms, and each try would leave a descriptor.
      this.close();
      throw reason;
    }
  }

  get isFull(): boolean {
    return this.next >= this.#shape.entries;
  }

  get isEmpty(): boolean {
    return this.next <= 1;
  }

  put(keyHash: number, physicalOffset: number, storeTimestampMs: number): void {
    if (this.isEmpty) {
      this.beginTimestampMs = storeTimestampMs;
      this.beginOffset = physicalOffset;
    }
    const seconds = Math.floor((storeTimestampMs - this.beginTimestampMs) / 1000);
    if (this.next - this.#pendingFrom >= PENDING_ENTRIES_MAX) this.writeEntries();
    const at = (this.next - this.#pendingFrom) * INDEX_ENTRY_BYTES;
    const words = this.#words;
    words.setInt32(at, keyHash);
    words.setInt32(at + 4, Math.floor(physicalOffset / 0x1_0000_0000));
    words.setInt32(at + 8, physicalOffset | 0);
    words.setInt32(at + 12, Math.min(Math.max(seconds, 0), 0x7fffffff));
    this.next++;
    this.endTimestampMs = storeTimestampMs;
    this.endOffset = physicalOffset;
  }

  /** Entries of a key hash, newest first, with the number of the entry before each. */
  *chain(keyHash: number): Iterable<IndexEntry> {
    this.writeEntries();
    let number = this.#slotValue(keyHash % this.#shape.slots);
    const entry = Buffer.alloc(INDEX_ENTRY_BYTES);
    while (number > 0 && number < this.next) {
      fs.readSync(this.#fd, entry, 0, entry.length, this.#entryAt(number));
      const found = decodeEntry(entry, 0);
      if (found.keyHash === keyHash) yield found;
      // Invariant: chains only go down; a damaged file must not make a loop.
      if (found.previous >= number) return;
      number = found.previous;
    }
  }

  /** Every entry in order of arrival. */
  *entries(): Iterable<IndexEntry> {
    this.writeEntries();
    const chunk = Buffer.allocUnsafe(REPLAY_ENTRIES * INDEX_ENTRY_BYTES);
    for (let number = 1; number < this.next; ) {
      const wanted = Math.min(REPLAY_ENTRIES, this.next - number);
      const bytes = chunk.subarray(0, wanted * INDEX_ENTRY_BYTES);
      fs.readSync(this.#fd, bytes, 0, bytes.length, this.#entryAt(number));
      for (let i = 0; i < wanted; i++) yield decodeEntry(bytes, i * INDEX_ENTRY_BYTES);
      number += wanted;
    }
  }

  /** Entries of a record at the end of the file; asked only when all entries are in the file. */
  countOf(physicalOffset: number): number {
    const entry = Buffer.alloc(INDEX_ENTRY_BYTES);
    let number = this.next - 1;
    for (; number >= 1; number--) {
      fs.readSync(this.#fd, entry, 0, entry.length, this.#entryAt(number));
      if (decodeEntry(entry, 0).physicalOffset !== physicalOffset) break;
    }
    return this.next - 1 - number;
  }

  /** Entries to the file; the header does not count them yet. */
  writeEntries(): void {
    this.#chainPending();
    while (this.#pendingFrom < this.next) {
      const length = (this.next - this.#pendingFrom) * INDEX_ENTRY_BYTES;
      const position = this.#entryAt(this.#pendingFrom);
      const done = fs.writeSync(this.#fd, this.#pending, 0, length, position);
      const whole = Math.floor(done / INDEX_ENTRY_BYTES);
      this.#pending.copyWithin(0, whole * INDEX_ENTRY_BYTES, length);
      this.#pendingFrom += whole;
    }
  }

  /** Header that counts every entry written so far. */
  writeHeader(): void {
    const header = Buffer.alloc(INDEX_HEADER_BYTES);
    writeLong(header, 0, this.beginTimestampMs);
    writeLong(header, 8, this.endTimestampMs);
    writeLong(header, 16, this.beginOffset);
    writeLong(header, 24, this.endOffset);
    header.writeInt32BE(this.#slotsUsed, 32);
    header.writeInt32BE(this.#pendingFrom, 36);
    fs.writeSync(this.#fd, header, 0, header.length, 0);
  }

  /** Dirty slots to the file, in runs; `pause` lets the loop breathe between them. */
  async writeSlots(pause: () => Promise<void>): Promise<void> {
    const runs = this.#isSlotDirty.length;
    for (let run = 0; run < runs; run++) {
      if (this.#writeSlotRun(run)) await pause();
    }
  }

  writeSlotsNow(): void {
    for (let run = 0; run < this.#isSlotDirty.length; run++) this.#writeSlotRun(run);
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (reason) => (reason === null ? resolve() : reject(reason)));
    });
  }

  /** Drops entries that point at or beyond `from` and rebuilds the slots from the rest. */
  cut(from: number): void {
    this.writeEntries();
    const slots = new Int32Array(this.#shape.slots);
    const chunk = Buffer.allocUnsafe(REPLAY_ENTRIES * INDEX_ENTRY_BYTES);
    const count = this.next;
    this.#forgetEntries();
    for (let number = 1; number < count; ) {
      const wanted = Math.min(REPLAY_ENTRIES, count - number);
      const bytes = chunk.subarray(0, wanted * INDEX_ENTRY_BYTES);
      fs.readSync(this.#fd, bytes, 0, bytes.length, this.#entryAt(number));
      for (let i = 0; i < wanted; i++, number++) {
        const entry = decodeEntry(bytes, i * INDEX_ENTRY_BYTES);
        if (entry.physicalOffset >= from || entry.physicalOffset < this.endOffset) {
          number = count;
          break;
        }
        this.#replay(slots, number, entry);
      }
    }
    this.#pendingFrom = this.next;
    this.#unchainedFrom = this.next;
    this.#slots = slots;
    this.#isSlotDirty = new Uint8Array(Math.ceil(slots.length / SLOT_RUN)).fill(1);
    this.writeSlotsNow();
    this.writeHeader();
  }

  /** Slots are no longer needed in memory: the file is full. */
  retire(): void {
    this.writeEntries();
    this.writeSlotsNow();
    this.writeHeader();
    this.#slots = undefined;
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  /** Leads the slots to the pending entries and each entry to the one before it. */
  #chainPending(): void {
    const end = this.next;
    let number = this.#unchainedFrom;
    if (number >= end) return;
    const slots = this.#loadedSlots();
    const words = this.#words;
    const isDirty = this.#isSlotDirty;
    const { length } = slots;
    const count = end - number;
    const first = (number - this.#pendingFrom) * INDEX_ENTRY_BYTES;
    // Why three loops: the middle one does nothing but access slots, so that their cache misses overlap.
    for (let i = 0, at = first; i < count; i++, at += INDEX_ENTRY_BYTES) {
      const slot = words.getInt32(at) % length;
      isDirty[slot >>> SLOT_RUN_BITS] = 1;
      places[i] = slot;
    }
    for (let i = 0; i < count; i++, number++) {
      const slot = places[i]!;
      places[i] = slots[slot]!;
      slots[slot] = number;
    }
    let used = 0;
    for (let i = 0, at = first + 16; i < count; i++, at += INDEX_ENTRY_BYTES) {
      const previous = places[i]!;
      if (previous === 0) used++;
      words.setInt32(at, previous);
    }
    this.#slotsUsed += used;
    this.#unchainedFrom = end;
  }

  #forgetEntries(): void {
    this.next = 1;
    this.#slotsUsed = 0;
    this.endOffset = 0;
    this.endTimestampMs = this.beginTimestampMs;
  }

  #replay(slots: Int32Array, number: number, entry: IndexEntry): void {
    const slot = entry.keyHash % this.#shape.slots;
    if (slots[slot] === 0) this.#slotsUsed++;
    slots[slot] = number;
    this.next = number + 1;
    this.endOffset = entry.physicalOffset;
    this.endTimestampMs = this.beginTimestampMs + entry.seconds * 1000;
  }

  #slotValue(slot: number): number {
    if (this.#slots !== undefined) return this.#slots[slot] ?? 0;
    const bytes = Buffer.alloc(INDEX_SLOT_BYTES);
    const position = INDEX_HEADER_BYTES + slot * INDEX_SLOT_BYTES;
    fs.readSync(this.#fd, bytes, 0, bytes.length, position);
    return bytes.readInt32BE(0);
  }

  #loadedSlots(): Int32Array {
    if (this.#slots !== undefined) return this.#slots;
    const slots = new Int32Array(this.#shape.slots);
    if (this.#unchainedFrom > 1) {
      const bytes = Buffer.from(slots.buffer);
      fs.readSync(this.#fd, bytes, 0, bytes.length, INDEX_HEADER_BYTES);
      bytes.swap32();
    }
    this.#slots = slots;
    this.#isSlotDirty = new Uint8Array(Math.ceil(slots.length / SLOT_RUN));
    return slots;
  }

  #writeSlotRun(run: number): boolean {
    if (this.#slots === undefined || this.#isSlotDirty[run] === 0) return false;
    this.#isSlotDirty[run] = 0;
    const part = this.#slots.slice(run * SLOT_RUN, (run + 1) * SLOT_RUN);
    const bytes = Buffer.from(part.buffer).swap32();
    const position = INDEX_HEADER_BYTES + run * SLOT_RUN * INDEX_SLOT_BYTES;
    fs.writeSync(this.#fd, bytes, 0, bytes.length, position);
    return true;
  }

  #entryAt(number: number): number {
    return INDEX_HEADER_BYTES + this.#shape.slots * INDEX_SLOT_BYTES + number * INDEX_ENTRY_BYTES;
  }

  #readHeader(): void {
    const header = Buffer.alloc(INDEX_HEADER_BYTES);
    fs.readSync(this.#fd, header, 0, header.length, 0);
    this.beginTimestampMs = int64At(header, 0);
    this.endTimestampMs = int64At(header, 8);
    this.beginOffset = int64At(header, 16);
    this.endOffset = int64At(header, 24);
    this.#slotsUsed = header.readInt32BE(32);
    this.next = Math.max(1, Math.min(header.readInt32BE(36), this.#shape.entries));
    this.#pendingFrom = this.next;
    this.#unchainedFrom = this.next;
  }
}

function decodeEntry(bytes: Buffer, at: number): IndexEntry {
  return {
    keyHash: bytes.readInt32BE(at),
    physicalOffset: int64At(bytes, at + 4),
    seconds: bytes.readInt32BE(at + 12),
    previous: bytes.readInt32BE(at + 16),
  };
}

function writeLong(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeInt32BE(value | 0, at + 4);
}
