// The door of the kernels: small WebAssembly modules for what is done once per record or message and
// costs too much in JavaScript. The JavaScript of the other rooms stays their reference: a kernel leaves
// to it whatever is unusual, and property tests hold the two against each other.
// Source in source/ (AssemblyScript), compiled by `npm run kernels` into binary/; both are checked in.
export { type KnownTopic, RecordKernel, ROWS_WORDS_MAX, type WalkRange } from './record-kernel.ts';
export { type KernelShape, SendKernel } from './send-kernel.ts';
export * as sendLayout from './send-layout.ts';
export { type WasmMemory, wasmExports, wasmMemory, wasmModule } from './wasm.ts';
