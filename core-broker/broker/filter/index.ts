// Door of what consumers subscribe to by expression.
export * from './consumer-filters.ts';
export * from './filter-cache.ts';
export * from './wanted-records.ts';
