// The scheduled backup of a daemon: configuration -> job queue -> scheduler -> run, verify, prune.
// A run counts as done only when what it stored is listed whole; then old backups may go.
import * as fs from 'node:fs';
import { DrError } from '../core-broker/base/index.ts';
import type { Backup } from './backup.ts';
import type { BackupConfig, JobsConfig } from './config.ts';
import { type JobQueue, openBullmqJobs, openSqliteJobs } from './jobs/index.ts';
import { createScheduler, type Scheduler } from './schedule.ts';

/** The adapter a configuration names. */
export async function openJobs(config: JobsConfig): Promise<JobQueue> {
  if (config.kind === 'sqlite') return openSqliteJobs({ file: config.file });
  const { host, port, prefix, tls, passwordFile } = config;
  const password = passwordFile ? fs.readFileSync(passwordFile, 'utf8').trim() : undefined;
  const secret = password === undefined ? {} : { password };
  return openBullmqJobs({ host, port, prefix, tls, ...secret });
}

export interface ScheduledBackupOptions {
  backup: Backup;
  config: BackupConfig;
  queue: JobQueue;
  rootDir: string;
  commitLogDir?: string;
  onDeath: (reason: DrError) => void;
}

/** @throws DrError CONFIG without a schedule, or with a pattern that is refused */
export function scheduleBackups(options: ScheduledBackupOptions): Scheduler {
  const { schedule } = options.config;
  if (!schedule) throw new DrError('CONFIG', 'backup.schedule: missing');
  const { rootDir, commitLogDir } = options;
  return createScheduler({
    plans: [
      {
        name: schedule.plan,
        cron: schedule.cron,
        timezone: schedule.timezone,
        attemptsMax: schedule.attempts,
        retryDelayMs: schedule.retryDelayMs,
        payload: { rootDir },
      },
    ],
    queue: options.queue,
    onDeath: options.onDeath,
    run: async (_claim, signal) => {
      const where = commitLogDir === undefined ? { rootDir } : { rootDir, commitLogDir };
      const made = await options.backup.run({ ...where, signal });
      const { code, problems } = await options.backup.verify({ id: made.id, depth: 'listed' });
      if (code === 'VERIFY_FAILED') {
        throw new DrError(code, `${made.id}: ${problems[0]?.text ?? 'not provable'}`);
      }
      const pruned = await options.backup.prune({ dryRun: false });
      return { ...made, deleted: pruned.deleted };
    },
  });
}
