// Door of the broker's metadata: topics, groups, consumer offsets, delay offsets.
export * from './consumer-offsets.ts';
export * from './creation.ts';
export * from './delay-offsets.ts';
export * from './group-table.ts';
export { asNumber, asObject, type JsonObject, readJsonFile, writeJsonFile } from './json-file.ts';
export * from './open-metadata.ts';
export * from './request-modes.ts';
export { SavedTable } from './saved-table.ts';
export * from './tables.ts';
export * from './topic-table.ts';
