// Write buffer and tail cache of the commit log: a ring of page-aligned memory addressed by log
// offsets (offset modulo capacity).
// Idea: behind the ring lies a slack as large as the largest record. A record that crosses the end is
// encoded in one piece into the slack and its overhang is copied to the front, so every record can be
// read in one piece and every byte range in at most two.
// Invariant: [low(), end) is valid; who appends makes sure that nothing unwritten is overwritten.
// Source: ours; WebAssembly.Memory because it is page-aligned, stays put, and kernels write into it.
import { sendLayout, type WasmMemory, wasmMemory } from '../../kernel/index.ts';

export class Ring {
  readonly capacity: number;
  /** The kernel's own part, then the ring and its slack. */
  readonly memory: WasmMemory;
  readonly bytes: Buffer;
  readonly view: DataView;
  /** First offset that was ever put here since the last reset. */
  #start = 0;

  constructor(capacity: number, slack: number) {
    this.memory = wasmMemory(sendLayout.KERNEL_BYTES + capacity + slack);
    const { buffer } = this.memory;
    this.capacity = capacity;
    this.bytes = Buffer.from(buffer, sendLayout.KERNEL_BYTES);
    this.view = new DataView(buffer, sendLayout.KERNEL_BYTES);
  }

  /** Forgets everything; the next byte put in is `offset`. */
  reset(offset: number): void {
    this.#start = offset;
  }

  /** The log ends at `end` again; what was put in behind it has overwritten as much at the front. */
  giveUp(end: number): void {
    this.#start = end;
  }

  /** Lowest offset still held when the log ends at `end`. */
  low(end: number): number {
    return Math.max(this.#start, end - this.capacity);
  }

  at(offset: number): number {
    // Why no %: slow on numbers above 2^31, and every record passes here twice.
    return offset - Math.floor(offset / this.capacity) * this.capacity;
  }

  /** Where place `at` of the ring lies in the memory. */
  address(at: number): number {
    return sendLayout.KERNEL_BYTES + at;
  }

  /** After encoding [at, at + length) with at < capacity: mirrors the overhang to the front. */
  wrap(at: number, length: number): void {
    const over = at + length - this.capacity;
    if (over > 0) this.bytes.copyWithin(0, this.capacity, this.capacity + over);
  }

  /** Zeroes [from, to) in log offsets. */
  zero(from: number, to: number): void {
    for (let next = from; next < to; ) {
      const at = this.at(next);
      const length = Math.min(to - next, this.capacity - at);
      this.bytes.fill(0, at, at + length);
      next += length;
    }
  }

  /** Bytes readable in one piece from `offset`, at most `length`. */
  contiguous(offset: number, length: number): number {
    return Math.min(length, this.capacity - this.at(offset));
  }

  /** Copies [from, to) out. */
  copy(from: number, to: number): Buffer {
    const out = Buffer.allocUnsafe(to - from);
    for (let next = from; next < to; ) {
      const at = this.at(next);
      const length = this.contiguous(next, to - next);
      this.bytes.copy(out, next - from, at, at + length);
      next += length;
    }
    return out;
  }

  /** Views of [from, to): one, or two at the end of the ring. */
  pushViews(from: number, to: number, into: Buffer[]): void {
    for (let next = from; next < to; ) {
      const at = this.at(next);
      const length = this.contiguous(next, to - next);
      into.push(this.bytes.subarray(at, at + length));
      next += length;
    }
  }
}
