// The backup section of dr.yaml with paths resolved and the store named after region and broker, so
// that both regions can share one repository. --repository replaces the place, nothing else.
import { fileURLToPath } from 'node:url';
import { type BackupConfig, backupConfigSchema } from '../../backup/index.ts';
import { DrError } from '../../core-broker/base/index.ts';
import type { DrConfig } from './dr-config.ts';

/**
 * @param repository file:///folder or s3://bucket/prefix
 * @throws DrError CONFIG when there is no backup section and no --repository
 */
export function backupConfigOf(config: DrConfig, repository?: string): BackupConfig {
  const base = repository === undefined ? config.backup : withRepository(config, repository);
  if (!base) {
    throw new DrError('CONFIG', `${config.path}: no backup section; add one or say --repository`);
  }
  const broker = Object.keys(config.regions[config.region]?.brokers ?? {})[0];
  return {
    ...base,
    storeId: base.storeId ?? `${config.region}-${broker}`,
    configurationFiles: base.configurationFiles.map(config.resolve),
    ...(base.encryptionKeyFile && { encryptionKeyFile: config.resolve(base.encryptionKeyFile) }),
    ...(base.stateDir && { stateDir: config.resolve(base.stateDir) }),
    repository:
      base.repository.kind === 'file'
        ? { ...base.repository, path: config.resolve(base.repository.path) }
        : {
            ...base.repository,
            ...(base.repository.accessKeyFile && {
              accessKeyFile: config.resolve(base.repository.accessKeyFile),
            }),
          },
  };
}

function withRepository(config: DrConfig, repository: string): BackupConfig {
  const place = parseRepository(repository);
  return backupConfigSchema.parse({ ...config.backup, repository: place });
}

function parseRepository(repository: string): object {
  if (repository.startsWith('file://')) return { kind: 'file', path: fileURLToPath(repository) };
  const s3 = /^s3:\/\/([^/]+)\/?(.*)$/.exec(repository);
  if (s3) return { kind: 's3', bucket: s3[1], prefix: s3[2] ?? '' };
  throw new DrError('USAGE', `--repository ${repository}: file:///folder or s3://bucket/prefix`);
}
