// The scheduled backup of a daemon: configuration -> job queue -> scheduler -> a process per run.
// A run counts as done only when what it stored is whole and proven; then old backups may go.
import * as fs from 'node:fs';
import { DrError } from '../core-broker/base/index.ts';
import { type PutLatencyProbe, runInChild } from './child/index.ts';
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
  config: BackupConfig;
  queue: JobQueue;
  rootDir: string;
  commitLogDir?: string;
  onDeath: (reason: DrError) => void;
  /** How the broker's sends fare: each run keeps to `putLatencyMsMax`. */
  putLatency?: PutLatencyProbe;
  /** Told the id of each backup process. */
  onStart?: (pid: number) => void;
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
    run: (_claim, signal) =>
      runInChild(
        {
          config: options.config,
          rootDir,
          ...(commitLogDir === undefined ? {} : { commitLogDir }),
          ...(options.putLatency ? { putLatency: options.putLatency } : {}),
          ...(options.onStart ? { onStart: options.onStart } : {}),
        },
        signal,
      ),
  });
}
