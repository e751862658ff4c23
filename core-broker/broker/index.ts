// Door of the broker room.
export * from './config/index.ts';
export type * from './door.ts';
