// Door of control-store: the port and its two adapters.
export type * from './door.ts';
export { openControlStore } from './open.ts';
export { openRedisControlStore, type RedisControlStoreOptions } from './redis.ts';
export { openSqliteControlStore, type SqliteControlStoreOptions } from './sqlite.ts';
