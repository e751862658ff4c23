// The wheel: one slot per step of time, each the two ends of a chain in the timer log. The file has a
// place for every step of two weeks (32 bytes: time / precision, first, last, count, magic), nearly all
// of them empty: in memory only the slots that wait, on disk a sparse file.
// Invariant: a slot in the file counts only if its time fits its place; it is written between the sync
// of the timer log and the checkpoint, so it never points behind what is on disk.
// Source: RocketMQ TimerWheel and Slot (5.5.0), layout only.
import * as fs from 'node:fs';
import { DrError } from '../../../base/index.ts';
import { readLong, writeLong } from './timer-unit.ts';

const SLOT_BYTES = 32;
/** Slots Apache rolls within; the file has twice as many. */
export const WHEEL_SLOTS = 7 * 24 * 3_600;
const PLACES = WHEEL_SLOTS * 2;
export const WHEEL_BYTES: number = PLACES * SLOT_BYTES;
const PIECE_BYTES = SLOT_BYTES * 128 * 1_024;
/** Slots written between two turns of the loop. */
const WRITES_PER_TURN = 512;

export interface Slot {
  readonly timeMs: number;
  firstPos: number;
  lastPos: number;
  /** Waiting messages: those put minus those that delete another. */
  count: number;
  magic: number;
}

export class TimerWheel {
  readonly #file: string;
  readonly #precisionMs: number;
  readonly #slots = new Map<number, Slot>();
  #dirty = new Set<Slot>();
  #fd: number | undefined;
  #total = 0;

  constructor(file: string, precisionMs: number) {
    this.#file = file;
    this.#precisionMs = precisionMs;
  }

  /** Messages that wait in all slots. */
  get total(): number {
    return this.#total;
  }

  /**
   * Reads the slots at or after `fromMs`; a missing file is an empty wheel.
   * @throws DrError CORRUPT when the file has another size
   */
  load(fromMs: number): void {
    if (!fs.existsSync(this.#file)) return;
    const size = fs.statSync(this.#file).size;
    if (size !== WHEEL_BYTES && size !== 0) {
      throw new DrError('CORRUPT', `${this.#file} has ${size} bytes, not ${WHEEL_BYTES}`);
    }
    const piece = Buffer.alloc(PIECE_BYTES);
    const fd = this.#open();
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const length = fs.readSync(fd, piece, 0, PIECE_BYTES, at);
      for (let p = 0; p + SLOT_BYTES <= length; p += SLOT_BYTES) {
        const isSet = piece.readInt32LE(p) !== 0 || piece.readInt32LE(p + 4) !== 0;
        if (isSet) this.#take(piece, p, { at: at + p, fromMs });
      }
    }
  }

  get(timeMs: number): Slot | undefined {
    return this.#slots.get(timeMs);
  }

  /** Puts an entry behind the chain of a slot. @param change  +1 a message, -1 one that deletes */
  put(timeMs: number, position: number, change: number): void {
    let slot = this.#slots.get(timeMs);
    if (slot === undefined) {
      slot = { timeMs, firstPos: position, lastPos: position, count: 0, magic: 0 };
      this.#slots.set(timeMs, slot);
    }
    slot.lastPos = position;
    slot.count += change;
    this.#total += change;
    this.#dirty.add(slot);
  }

  /** A slot that was delivered; its place in the file is void because the read time passed it. */
  remove(timeMs: number): void {
    const slot = this.#slots.get(timeMs);
    if (slot === undefined) return;
    this.#slots.delete(timeMs);
    this.#dirty.delete(slot);
    this.#total -= slot.count;
  }

  /** The earliest slot in [fromMs, untilMs), undefined when there is none. */
  next(fromMs: number, untilMs: number): number | undefined {
    if ((untilMs - fromMs) / this.#precisionMs > this.#slots.size) {
      let earliest = untilMs;
      for (const timeMs of this.#slots.keys()) {
        if (timeMs >= fromMs && timeMs < earliest) earliest = timeMs;
      }
      return earliest < untilMs ? earliest : undefined;
    }
    for (let at = fromMs; at < untilMs; at += this.#precisionMs) {
      if (this.#slots.has(at)) return at;
    }
    return undefined;
  }

  /** Messages in the slots before `untilMs`. */
  countBefore(untilMs: number): number {
    let count = 0;
    for (const slot of this.#slots.values()) if (slot.timeMs < untilMs) count += slot.count;
    return count;
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** What changed since the last call, as it is now; write() puts it into the file. */
  takeChanges(): Slot[] {
    const taken = [...this.#dirty].map((slot) => ({ ...slot }));
    this.#dirty = new Set();
    return taken;
  }

  /** Durable when it resolves. */
  async write(changes: Slot[]): Promise<void> {
    const fd = this.#open();
    const bytes = Buffer.alloc(SLOT_BYTES);
    for (const [index, slot] of changes.entries()) {
      const step = slot.timeMs / this.#precisionMs;
      writeLong(bytes, 0, step);
      writeLong(bytes, 8, slot.firstPos);
      writeLong(bytes, 16, slot.lastPos);
      bytes.writeInt32BE(slot.count, 24);
      bytes.writeInt32BE(slot.magic, 28);
      fs.writeSync(fd, bytes, 0, SLOT_BYTES, (step % PLACES) * SLOT_BYTES);
      if (index % WRITES_PER_TURN === WRITES_PER_TURN - 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(fd, (reason) => (reason ? reject(DrError.from(reason)) : resolve()));
    });
  }

  /** Drops everything, the file too. */
  reset(): void {
    this.close();
    fs.rmSync(this.#file, { force: true });
    this.#slots.clear();
    this.#dirty.clear();
    this.#total = 0;
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  #take(bytes: Buffer, p: number, { at, fromMs }: { at: number; fromMs: number }): void {
    const step = readLong(bytes, p);
    const timeMs = step * this.#precisionMs;
    if (timeMs < fromMs || (step % PLACES) * SLOT_BYTES !== at) return;
    const slot: Slot = {
      timeMs,
      firstPos: readLong(bytes, p + 8),
      lastPos: readLong(bytes, p + 16),
      count: bytes.readInt32BE(p + 24),
      magic: bytes.readInt32BE(p + 28),
    };
    this.#slots.set(timeMs, slot);
    this.#total += slot.count;
  }

  #open(): number {
    if (this.#fd !== undefined) return this.#fd;
    this.#fd = fs.openSync(this.#file, fs.existsSync(this.#file) ? 'r+' : 'w+');
    if (fs.fstatSync(this.#fd).size === 0) fs.ftruncateSync(this.#fd, WHEEL_BYTES);
    return this.#fd;
  }
}
