// The kernel of sends on a memory that holds the ring behind it: `run` takes frames of one socket read and
// leaves records, replies and digests. This class is the memory map of it and keeps shapes in slots.
// Invariant: one thread, one call at a time; what a call is told and what it leaves is valid until the next.
import { SENDS } from './binary/sends.ts';
import * as layout from './send-layout.ts';
import { type WasmMemory, wasmExports, wasmModule } from './wasm.ts';

interface Exports {
  run(): number;
  prepare(): void;
}

/** The words of one shape, made once; `slot` is where they were put last. */
export interface KernelShape {
  readonly bytes: Buffer;
  slot: number;
}

let module: object | undefined;

export class SendKernel {
  readonly bytes: Buffer;
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
  readonly #exports: Exports;
  readonly #owners: (KernelShape | undefined)[] = new Array(layout.SHAPE_SLOTS).fill(undefined);
  readonly #usedAt: number[] = new Array(layout.SHAPE_SLOTS).fill(0);
  #uses = 0;

  /** @param memory its first KERNEL_BYTES belong to the kernel */
  constructor(memory: WasmMemory) {
    module ??= wasmModule(SENDS);
    this.#exports = wasmExports<Exports>(module, memory);
    this.#exports.prepare();
    this.bytes = Buffer.from(memory.buffer);
    this.ints = new Int32Array(memory.buffer, 0, layout.KERNEL_BYTES / 4);
    this.doubles = new Float64Array(memory.buffer, 0, layout.KERNEL_BYTES / 8);
  }

  /** @returns how many frames were taken */
  run(): number {
    return this.#exports.run();
  }

  /** Puts bytes [start, end) of a chunk where frames are read; at most CHUNK_BYTES. */
  load(chunk: Buffer, start: number, end: number): void {
    chunk.copy(this.bytes, layout.CHUNK, start, end);
  }

  /** @returns the address of the shape; the last SHAPES_MAX that were placed stay where they are */
  place(shape: KernelShape): number {
    if (shape.slot < 0 || this.#owners[shape.slot] !== shape) this.#move(shape);
    this.#usedAt[shape.slot] = ++this.#uses;
    return layout.SHAPES + shape.slot * layout.SHAPE_BYTES;
  }

  /** Into the slot that was not used for longest. */
  #move(shape: KernelShape): void {
    const used = this.#usedAt;
    let slot = 0;
    for (let i = 1; i < used.length; i++) if (used[i]! < used[slot]!) slot = i;
    this.#owners[slot] = shape;
    shape.slot = slot;
    shape.bytes.copy(this.bytes, layout.SHAPES + slot * layout.SHAPE_BYTES);
  }
}
