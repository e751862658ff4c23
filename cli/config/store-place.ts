// Where the store of this region's broker lies on disk, for backups.
import * as path from 'node:path';
import { DrError } from '../../core-broker/base/index.ts';
import { loadBrokerConfig } from '../../core-broker/broker/index.ts';
import type { DrConfig } from './dr-config.ts';

/**
 * Store folders of the broker that dr.yaml runs, or the folder given.
 * @throws DrError CONFIG when neither names one
 */
export function storePlace(
  config: DrConfig,
  given?: string,
): { rootDir: string; commitLogDir?: string } {
  if (given !== undefined) return { rootDir: path.resolve(given) };
  if (!config.broker) {
    throw new DrError('CONFIG', `${config.path}: no broker section; say --store FOLDER`);
  }
  const { config: broker } = loadBrokerConfig(config.resolve(config.broker.config));
  return { rootDir: broker.storePathRootDir, commitLogDir: broker.storePathCommitLog };
}
