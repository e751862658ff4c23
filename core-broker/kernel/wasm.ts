// WebAssembly as this project uses it: a module made from text of `binary/`, instantiated at once on a
// memory of ours. Whoever wants bytes checked reads them into that memory; nothing is copied for it.
// Layout of a memory: the kernel's tables (up to 17408), then its user's, see each kernel.
// Source: ours.

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface WasmInstance {
  readonly exports: object;
}

// Why: the type library of this project has no DOM part, where WebAssembly is declared.
const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: {
    Memory: new (size: { initial: number }) => WasmMemory;
    Module: new (binary: Uint8Array) => object;
    Instance: new (module: object, imports: object) => WasmInstance;
  };
};

export const WASM_PAGE_BYTES = 65_536;

/** A memory of at least `bytes`; it stays where it is unless it is grown. */
export const wasmMemory = (bytes: number): WasmMemory =>
  new wasm.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) });

/** Compiles a module of `binary/`, once per thread. */
export const wasmModule = (text: string): object => new wasm.Module(Buffer.from(text, 'base64'));

/** @returns the exported functions, working on `memory` */
export function wasmExports<T extends object>(module: object, memory: WasmMemory): T {
  return new wasm.Instance(module, { env: { memory } }).exports as T;
}
