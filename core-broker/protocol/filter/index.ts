// Door of the SQL92 filters: pure, no I/O.
export { type CompiledFilter, compileFilter } from './compiled-filter.ts';
export type { PropertyRow } from './operations.ts';
export { FILTER_LIMITS } from './parser.ts';
