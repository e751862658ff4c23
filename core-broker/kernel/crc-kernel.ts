// CRC-32 of bytes in a WebAssembly memory.
import { RECORDS } from './binary/records.ts';
import { type WasmMemory, wasmExports, wasmModule } from './wasm.ts';

export interface CrcKernel {
  /** Unsigned after `>>> 0`: CRC-32 of bytes [from, to) of the memory. */
  crc32(from: number, to: number): number;
  /** Fills the tables at [1024, 17408) of the memory. */
  prepare(): void;
}

let module: object | undefined;

/** A kernel on a memory whose first 17408 bytes are free for it. */
export function crcKernel(memory: WasmMemory): CrcKernel {
  module ??= wasmModule(RECORDS);
  const kernel = wasmExports<CrcKernel>(module, memory);
  kernel.prepare();
  return kernel;
}
