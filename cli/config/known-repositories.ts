// Which backup repositories this dr.yaml has used, in `backup-repositories.json` beside it.
// The first use of a place makes the repository. After that a place without one is a lost mount or a
// wrong bucket, and filling it anew would hide that every backup is gone: then the run is refused.
import * as path from 'node:path';
import type { Backup, BackupConfig } from '../../backup/index.ts';
import { createLog, readTextIfExists, writeAtomicSync } from '../../core-broker/base/index.ts';
import type { DrConfig } from './dr-config.ts';

const log = createLog('backup');

const fileOf = (config: DrConfig): string =>
  path.join(path.dirname(path.resolve(config.path)), 'backup-repositories.json');

function readKnown(config: DrConfig): string[] {
  const text = readTextIfExists(fileOf(config));
  return text === undefined ? [] : (JSON.parse(text) as string[]);
}

/** Name of the place, without secrets. */
function placeOf({ repository }: BackupConfig): string {
  if (repository.kind === 'file') return `file:${repository.path}`;
  return `s3:${repository.endpoint ?? 'aws'}/${repository.bucket}/${repository.prefix}`;
}

/** Notes that this place holds a repository of ours. Durable on return. */
export function rememberRepository(config: DrConfig, settings: BackupConfig): void {
  const place = placeOf(settings);
  const known = readKnown(config);
  if (known.includes(place)) return;
  writeAtomicSync(fileOf(config), `${JSON.stringify([...known, place], null, 2)}\n`);
}

/**
 * Makes the repository when this dr.yaml never used the place before; else leaves everything as it is.
 * @throws DrError REFUSED (other things lie there), UNREACHABLE, AUTH
 */
export async function beginRepository(
  config: DrConfig,
  settings: BackupConfig,
  backup: Backup,
): Promise<void> {
  const place = placeOf(settings);
  if (readKnown(config).includes(place)) return;
  const result = await backup.init();
  rememberRepository(config, settings);
  if (result === 'created') log.info('repository.created', 'first use of this place', { place });
}
