// Replies to sends of one connection, encoded at append time and held back until the store says that
// the record's end may be acknowledged. First in, first out: ends only grow.
// Invariant: no reply leaves before onDurable passed its record's end.
// Shape: one growable byte buffer and four parallel typed arrays that are reused, so that a steady
// stream of sends allocates nothing; a release writes one contiguous piece.
import { decodeCommand, encodeCommand } from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';

const FIRST_BYTES = 4 * 1024;
const FIRST_ENTRIES = 64;
/** A drained buffer larger than this is given back. */
const KEEP_BYTES = 1024 * 1024;

/**
 * Replies one behind the other in bytes [start, end) of `memory`; of the first `count` entries of each array: the
 * log end a reply waits for, the place behind it from `start` on, its opaque. Reused.
 */
export interface ReplyRun {
  readonly memory: Buffer;
  readonly start: number;
  end: number;
  count: number;
  readonly ends: Float64Array;
  readonly stops: Int32Array;
  readonly opaques: Int32Array;
}

export class WithheldReplies {
  buffer: Buffer = Buffer.alloc(0);
  /** Log end each reply waits for. */
  #ends = new Float64Array(0);
  /** Monotonic ms at which each was held. */
  #timesMs = new Float64Array(0);
  /** Position behind each reply in the buffer. */
  #stops = new Int32Array(0);
  #opaques = new Int32Array(0);
  /** Entries [head, tail) wait. */
  #head = 0;
  #tail = 0;
  /** Bytes [start, size) of the buffer wait. */
  #start = 0;
  #size = 0;

  get count(): number {
    return this.#tail - this.#head;
  }

  /** Monotonic time of the oldest reply, or undefined. */
  get oldestMs(): number | undefined {
    return this.#head < this.#tail ? this.#timesMs[this.#head] : undefined;
  }

  /** Room for at most `size` bytes; @returns the position in `buffer` to encode at */
  reserve(size: number): number {
    if (this.buffer.length - this.#size < size) this.#growBytes(size);
    return this.#size;
  }

  /** Keeps what was encoded in [reserved position, stop) until `end` is durable. */
  hold(stop: number, end: number, opaque: number, nowMs: number): void {
    if (this.#tail === this.#ends.length) this.#growEntries(1);
    const tail = this.#tail++;
    this.#size = stop;
    this.#ends[tail] = end;
    this.#stops[tail] = stop;
    this.#opaques[tail] = opaque;
    this.#timesMs[tail] = nowMs;
  }

  /** hold() for every reply of a run. */
  holdRun(run: ReplyRun, nowMs: number): void {
    const { start, count, ends, stops, opaques } = run;
    const at = this.reserve(run.end - start);
    if (this.#tail + count > this.#ends.length) this.#growEntries(count);
    const tail = this.#tail;
    run.memory.copy(this.buffer, at, start, run.end);
    const allEnds = this.#ends;
    const allTimes = this.#timesMs;
    const allStops = this.#stops;
    const allOpaques = this.#opaques;
    // Why a loop: runs are short, and views of the arrays cost more than their elements.
    for (let i = 0; i < count; i++) {
      allEnds[tail + i] = ends[i] as number;
      allTimes[tail + i] = nowMs;
      allStops[tail + i] = at + (stops[i] as number);
      allOpaques[tail + i] = opaques[i] as number;
    }
    this.#tail = tail + count;
    this.#size = at + run.end - start;
  }

  /** Writes every reply whose record ends at or before `durableEnd`. */
  release(connection: ServerConnection, durableEnd: number): void {
    let head = this.#head;
    while (head < this.#tail && (this.#ends[head] as number) <= durableEnd) head++;
    if (head === this.#head) return;
    const stop = this.#stops[head - 1] as number;
    connection.write(this.buffer.subarray(this.#start, stop));
    this.#start = stop;
    this.#head = head;
    if (head === this.#tail) this.clear();
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
    const opaques = [...this.#opaques.subarray(this.#head, this.#tail)];
    this.clear();
    return opaques;
  }

  clear(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#start = 0;
    this.#size = 0;
    if (this.buffer.length > KEEP_BYTES) this.buffer = Buffer.alloc(0);
  }

  /** Moves the waiting entries to the front, into larger arrays when they fill half of these. */
  #growEntries(more: number): void {
    const { count } = this;
    const capacity = Math.max(FIRST_ENTRIES, this.#ends.length, 2 * (count + more));
    const moved = <T extends Float64Array | Int32Array>(from: T, into: T): T => {
      into.set(from.subarray(this.#head, this.#tail));
      return into;
    };
    this.#ends = moved(this.#ends, new Float64Array(capacity));
    this.#timesMs = moved(this.#timesMs, new Float64Array(capacity));
    this.#stops = moved(this.#stops, new Int32Array(capacity));
    this.#opaques = moved(this.#opaques, new Int32Array(capacity));
    this.#head = 0;
    this.#tail = count;
  }

  #growBytes(size: number): void {
    const live = this.#size - this.#start;
    const grown = Buffer.allocUnsafeSlow(
      Math.max(FIRST_BYTES, this.buffer.length, 2 * (live + size)),
    );
    this.buffer.copy(grown, 0, this.#start, this.#size);
    for (let i = this.#head; i < this.#tail; i++) {
      this.#stops[i] = (this.#stops[i] as number) - this.#start;
    }
    this.buffer = grown;
    this.#start = 0;
    this.#size = live;
  }
}
