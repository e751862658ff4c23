// The scheduled backups of a daemon: queue and clock of the backup room, fed with this region's store.
// Each run is a process of its own; stopping the daemon ends it and gives its job back.
// A backup that failed for good turns the daemon's health red until the next one succeeds.
import * as path from 'node:path';
import {
  type BackupConfig,
  createBackup,
  type Job,
  type JobQueue,
  type JobsConfig,
  type LatencyCount,
  openJobs,
  type Scheduler,
  scheduleBackups,
} from '../../backup/index.ts';
import {
  createLog,
  DrError,
  LoopSet,
  readHistogram,
  type Service,
  sleep,
} from '../../core-broker/base/index.ts';
import { backupConfigOf } from '../config/backup-config.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { beginRepository } from '../config/known-repositories.ts';
import { storePlace } from '../config/store-place.ts';

const log = createLog('backup');

/** How often the last run is looked up for health, ms. */
const LOOK_MS = 5_000;

/** Job queue of a region: the configured one, else SQLite rows beside dr.yaml. */
export function openRegionJobs(config: DrConfig): Promise<JobQueue> {
  const jobs: JobsConfig = config.jobs ?? { kind: 'sqlite', file: './jobs.db' };
  return openJobs(jobs.kind === 'sqlite' ? { ...jobs, file: config.resolve(jobs.file) } : jobs);
}

/** What the broker of this process tells of its sends; the metric is in seconds. */
async function readPutLatency(): Promise<LatencyCount[]> {
  const counts = await readHistogram('dr_broker_put_latency_seconds');
  return counts.map(({ upTo, count }) => ({ upToMs: upTo * 1_000, count }));
}

export class BackupService implements Service {
  readonly #config: DrConfig;
  readonly #loops: LoopSet;
  readonly #onDeath: (reason: DrError) => void;
  #queue: JobQueue | undefined;
  #scheduler: Scheduler | undefined;
  #last: Job | undefined;

  constructor(config: DrConfig, onDeath: (reason: DrError) => void) {
    this.#config = config;
    this.#onDeath = onDeath;
    this.#loops = new LoopSet(onDeath);
  }

  async start(): Promise<void> {
    const settings = backupConfigOf(this.#config);
    const place = storePlace(this.#config);
    await this.#begin(settings);
    this.#queue = await openRegionJobs(this.#config);
    this.#scheduler = scheduleBackups({
      config: settings,
      queue: this.#queue,
      rootDir: path.resolve(place.rootDir),
      ...(place.commitLogDir === undefined ? {} : { commitLogDir: place.commitLogDir }),
      putLatency: readPutLatency,
      onDeath: this.#onDeath,
    });
    await this.#scheduler.start();
    this.#loops.run('last backup', (signal) => this.#watch(signal));
  }

  /** First use makes the repository; a target that is away now is the runs' failure, not the daemon's. */
  async #begin(settings: BackupConfig): Promise<void> {
    try {
      const backup = await createBackup({ config: settings });
      await beginRepository(this.#config, settings, backup).finally(() => backup.close());
    } catch (reason) {
      const failure = DrError.from(reason);
      log.warn('repository.away', failure.message, { code: failure.code });
    }
  }

  async stop(): Promise<void> {
    await this.#loops.stop();
    await this.#scheduler?.stop();
    await this.#queue?.close();
  }

  /** Empty while the newest finished run succeeded. */
  problems(): string[] {
    if (this.#last?.state !== 'failed') return [];
    return [`backup ${this.#last.id} failed: ${this.#last.error ?? 'unknown'}`];
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const jobs = (await this.#queue?.list({ limit: 20 })) ?? [];
      this.#last = jobs.find((job) => job.state === 'done' || job.state === 'failed');
      await sleep(LOOK_MS, signal).catch((reason: unknown) => {
        if (!signal.aborted) throw DrError.from(reason);
      });
    }
  }
}
