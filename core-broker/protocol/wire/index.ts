// Door of the generic frame codec and of the JSON dialect reader.
export * from './codec.ts';
export * from './lenient-json.ts';
