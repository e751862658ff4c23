// Replies to sends of one connection, encoded at append time and held back until the store says that
// the record's end may be acknowledged. First in, first out: ends only grow.
// Invariant: no reply leaves before onDurable passed its record's end.
// Shape: one growable byte buffer and three parallel arrays; a release writes one contiguous piece.
import { decodeCommand, encodeCommand } from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';

const FIRST_BYTES = 4 * 1024;
/** A drained buffer larger than this is given back. */
const KEEP_BYTES = 1024 * 1024;

export class WithheldReplies {
  buffer: Buffer = Buffer.alloc(0);
  /** Log end each reply waits for. */
  readonly #ends: number[] = [];
  /** Position behind each reply in the buffer. */
  readonly #stops: number[] = [];
  readonly #opaques: number[] = [];
  readonly #timesMs: number[] = [];
  #head = 0;
  #start = 0;
  #size = 0;

  get count(): number {
    return this.#ends.length - this.#head;
  }

  /** Monotonic time of the oldest reply, or undefined. */
  get oldestMs(): number | undefined {
    return this.#timesMs[this.#head];
  }

  /** Room for at most `size` bytes; @returns the position in `buffer` to encode at */
  reserve(size: number): number {
    if (this.buffer.length - this.#size < size) this.#grow(size);
    return this.#size;
  }

  /** Keeps what was encoded in [reserved position, stop) until `end` is durable. */
  hold(stop: number, end: number, opaque: number, nowMs: number): void {
    this.#size = stop;
    this.#ends.push(end);
    this.#stops.push(stop);
    this.#opaques.push(opaque);
    this.#timesMs.push(nowMs);
  }

  /** Writes every reply whose record ends at or before `durableEnd`. */
  release(connection: ServerConnection, durableEnd: number): void {
    let head = this.#head;
    while (head < this.#ends.length && (this.#ends[head] as number) <= durableEnd) head++;
    if (head === this.#head) return;
    const stop = this.#stops[head - 1] as number;
    connection.write(this.buffer.subarray(this.#start, stop));
    this.#start = stop;
    this.#head = head;
    if (head === this.#ends.length) this.clear();
    else if (head > 4_096) this.#compact();
  }

  /** Answers replies held since before `beforeMs` with another code; their records are stored. */
  releaseLate(connection: ServerConnection, late: { beforeMs: number; code: number }): void {
    while (this.count > 0 && (this.#timesMs[this.#head] as number) < late.beforeMs) {
      const stop = this.#stops[this.#head] as number;
      const reply = decodeCommand(this.buffer, this.#start, stop);
      connection.write(encodeCommand({ ...reply, code: late.code }));
      this.#start = stop;
      this.#head++;
    }
    if (this.count === 0) this.clear();
  }

  /** Takes the opaques of all held replies out: their records will not be acknowledged. */
  takeOpaques(): number[] {
    const opaques = this.#opaques.slice(this.#head);
    this.clear();
    return opaques;
  }

  clear(): void {
    this.#ends.length = 0;
    this.#stops.length = 0;
    this.#opaques.length = 0;
    this.#timesMs.length = 0;
    this.#head = 0;
    this.#start = 0;
    this.#size = 0;
    if (this.buffer.length > KEEP_BYTES) this.buffer = Buffer.alloc(0);
  }

  #compact(): void {
    for (const list of [this.#ends, this.#stops, this.#opaques, this.#timesMs]) {
      list.splice(0, this.#head);
    }
    this.#head = 0;
  }

  #grow(size: number): void {
    const live = this.#size - this.#start;
    const wanted = Math.max(FIRST_BYTES, 2 * (live + size));
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.buffer.length));
    this.buffer.copy(grown, 0, this.#start, this.#size);
    for (let i = this.#head; i < this.#stops.length; i++) {
      this.#stops[i] = (this.#stops[i] as number) - this.#start;
    }
    this.buffer = grown;
    this.#start = 0;
    this.#size = live;
  }
}
