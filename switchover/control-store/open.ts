// From the section `controlStore` to an open store.
import { assertNever } from '../../core-broker/base/index.ts';
import type { ControlStoreConfig } from '../config.ts';
import type { ControlStore } from './door.ts';
import { openRedisControlStore } from './redis.ts';
import { openSqliteControlStore } from './sqlite.ts';

/** @throws DrError CONFIG, UNREACHABLE, AUTH */
export async function openControlStore(config: ControlStoreConfig): Promise<ControlStore> {
  switch (config.kind) {
    case 'sqlite':
      return openSqliteControlStore({ path: config.path });
    case 'redis':
      return openRedisControlStore({ url: config.url, prefix: config.prefix });
    default:
      return assertNever(config);
  }
}
