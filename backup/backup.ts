// The door to everything a backup can do, for the command line and the daemon.
// Opens the target once (retry outside of throttle), gives each operation its own worker threads, and
// ends them with it: nothing runs between operations.
import { randomBytes } from 'node:crypto';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Clock, DrError, systemClock } from '../core-broker/base/index.ts';
import { type BackupConfig, defaultStoreId, workersOf } from './config.ts';
import { isProven, isWhole, type Manifest, segmentsOf } from './manifest.ts';
import {
  createPace,
  type ObjectStore,
  openFileStore,
  openS3Store,
  openUploadJournal,
  withRetry,
  withThrottle,
} from './object-store/index.ts';
import {
  checkPolicy,
  type KeepPolicy,
  markRun,
  missingSegments,
  type PruneResult,
  prune,
  Repository,
} from './repository/index.ts';
import {
  type RestoreCut,
  type RestoreProgress,
  type RestoreResult,
  restoreStore,
} from './restore/index.ts';
import { Gate, readKeyFile, SegmentPool } from './segment/index.ts';
import { type SnapshotResult, takeSnapshot } from './snapshot/index.ts';
import { type VerifyDepth, type VerifyResult, verifyBackup } from './verify/index.ts';

export interface BackupOptions {
  config: BackupConfig;
  clock?: Clock;
  /** For tests: instead of the store the configuration names. */
  objectStore?: ObjectStore;
}

export interface RunRequest {
  /** storePathRootDir of the broker. */
  rootDir: string;
  commitLogDir?: string;
  signal?: AbortSignal;
  /** Shut by whoever watches the broker; released when the run ends. */
  gate?: Gate;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface BackupListing {
  id: string;
  storeId: string;
  createdMs: number | undefined;
  logMin: number | undefined;
  logMax: number | undefined;
  lastStoreTimestampMs: number | null | undefined;
  files: number | undefined;
  storedBytes: number | undefined;
  isEncrypted: boolean | undefined;
  /** Every record was proven while it was archived. */
  isProven: boolean;
  /** ok, gap (archived with a hole or damage), incomplete (segments missing), damaged (manifest) */
  state: 'ok' | 'gap' | 'incomplete' | 'damaged';
  problem: string | undefined;
}

export interface RestoreRequest {
  /** Backup id, or "latest" good one of the store. */
  id: string;
  storeId?: string;
  target: string;
  cut?: RestoreCut;
  signal?: AbortSignal;
  onProgress?: (progress: RestoreProgress) => void;
}

export interface VerifyRequest {
  id: string;
  storeId?: string;
  depth: VerifyDepth;
  workDir?: string;
  signal?: AbortSignal;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface Backup {
  /** Makes the repository; every other call needs it. Safe to repeat. */
  init(): Promise<'created' | 'exists'>;
  /** Archives a live store; a manifest exists only after success. */
  run(request: RunRequest): Promise<SnapshotResult>;
  list(storeId?: string): Promise<BackupListing[]>;
  verify(request: VerifyRequest): Promise<VerifyResult>;
  /** Into an empty directory only; the same call resumes a killed one. */
  restore(request: RestoreRequest): Promise<RestoreResult>;
  prune(request: { dryRun: boolean; keep?: KeepPolicy }): Promise<PruneResult>;
  close(): void;
}

/** Opens a target; nothing is read or written there yet. @throws DrError UNREACHABLE, AUTH, CONFIG */
export async function createBackup(options: BackupOptions): Promise<Backup> {
  const { config } = options;
  const key = config.encryptionKeyFile ? readKeyFile(config.encryptionKeyFile) : undefined;
  const store = options.objectStore ?? (await openTarget(config));
  return new RepositoryBackup(new Repository(store, key), config, options.clock ?? systemClock);
}

/** The adapter a configuration names, with throttle and retry around it. */
export async function openTarget(config: BackupConfig): Promise<ObjectStore> {
  const { repository } = config;
  // Not os.userInfo: it throws for a user without a name, as containers run programs.
  const stateDir =
    config.stateDir ?? path.join(os.tmpdir(), `dr-backup-${process.getuid?.() ?? 0}`);
  const inner =
    repository.kind === 'file'
      ? openFileStore({ root: repository.path })
      : await openS3Store({
          ...repository,
          endpoint: repository.endpoint,
          accessKeyFile: repository.accessKeyFile,
          journal: openUploadJournal(path.join(stateDir, 'uploads')),
        });
  const paced =
    config.bytesPerSecondMax === undefined
      ? inner
      : withThrottle(inner, createPace(config.bytesPerSecondMax));
  return withRetry(paced);
}

class RepositoryBackup implements Backup {
  readonly #repository: Repository;
  readonly #config: BackupConfig;
  readonly #clock: Clock;

  constructor(repository: Repository, config: BackupConfig, clock: Clock) {
    this.#repository = repository;
    this.#config = config;
    this.#clock = clock;
  }

  async init(): Promise<'created' | 'exists'> {
    return await this.#repository.init();
  }

  async run(request: RunRequest): Promise<SnapshotResult> {
    try {
      return await this.#run(request);
    } catch (reason) {
      throw DrError.from(reason);
    }
  }

  async #run(request: RunRequest): Promise<SnapshotResult> {
    await this.#repository.open();
    const id = newId(this.#clock.nowMs());
    const mark = await markRun(this.#repository.store, id);
    const gate = request.gate ?? new Gate();
    const release = () => gate.release();
    request.signal?.addEventListener('abort', release, { once: true });
    try {
      const result = await this.#withPool(
        (pool) =>
          takeSnapshot({
            source: {
              rootDir: request.rootDir,
              commitLogDir: request.commitLogDir ?? path.join(request.rootDir, 'commitlog'),
              storeId: this.#config.storeId ?? defaultStoreId(request.rootDir),
              configurationFiles: this.#config.configurationFiles,
            },
            repository: this.#repository,
            pool,
            gate,
            level: this.#config.compressionLevel,
            id,
            clock: this.#clock,
            signal: request.signal,
            onProgress: request.onProgress ?? (() => undefined),
          }),
        gate,
      );
      await this.#repository.store.sweep();
      return result;
    } finally {
      release();
      request.signal?.removeEventListener('abort', release);
      await releaseQuietly(mark.release());
    }
  }

  async list(storeId?: string): Promise<BackupListing[]> {
    await this.#repository.open();
    const present = await this.#repository.listSegments();
    const entries = await this.#repository.listManifests(storeId);
    return entries.map(({ id, storeId: ofStore, manifest, problem }) => {
      const missing = manifest ? missingSegments(segmentsOf(manifest), present).length : 0;
      return {
        id,
        storeId: ofStore,
        createdMs: manifest?.createdMs,
        logMin: manifest?.log.min,
        logMax: manifest?.log.max,
        lastStoreTimestampMs: manifest?.log.lastStoreTimestampMs,
        files: manifest?.files.length,
        storedBytes: manifest && segmentsOf(manifest).reduce((sum, s) => sum + s.storedBytes, 0),
        isEncrypted: manifest && manifest.encryption !== null,
        isProven: manifest !== undefined && isProven(manifest),
        state: stateOf(manifest, missing),
        problem: problem?.message ?? problemOf(manifest, missing),
      };
    });
  }

  async verify(request: VerifyRequest): Promise<VerifyResult> {
    await this.#repository.open();
    const id = await this.#resolve(request.id, request.storeId);
    return this.#withPool((pool) =>
      verifyBackup({
        repository: this.#repository,
        pool,
        id,
        storeId: request.storeId,
        depth: request.depth,
        workDir: request.workDir,
        clock: this.#clock,
        signal: request.signal,
        onProgress: request.onProgress ?? (() => undefined),
      }),
    );
  }

  async restore(request: RestoreRequest): Promise<RestoreResult> {
    await this.#repository.open();
    const id = await this.#resolve(request.id, request.storeId);
    const manifest = await this.#repository.loadManifest(id, request.storeId);
    return this.#withPool((pool) =>
      restoreStore({
        repository: this.#repository,
        pool,
        manifest,
        target: path.resolve(request.target),
        cut: request.cut,
        clock: this.#clock,
        signal: request.signal,
        onProgress: request.onProgress ?? (() => undefined),
      }),
    );
  }

  async prune(request: { dryRun: boolean; keep?: KeepPolicy }): Promise<PruneResult> {
    await this.#repository.open();
    const policy = checkPolicy(request.keep ?? this.#config.keep);
    const nowMs = this.#clock.nowMs();
    return prune(this.#repository, policy, { dryRun: request.dryRun, nowMs });
  }

  close(): void {
    this.#repository.store.close();
  }

  /** "latest" = the newest good one; of several stores the operator must name one. */
  async #resolve(id: string, storeId: string | undefined): Promise<string> {
    if (id !== 'latest') return id;
    const good = (await this.list(storeId)).filter((entry) => entry.state === 'ok');
    const stores = new Set(good.map((entry) => entry.storeId));
    if (stores.size > 1) {
      throw new DrError('USAGE', `the repository holds ${stores.size} stores`, {
        hint: `name one of: ${[...stores].join(', ')}`,
      });
    }
    const newest = good.at(-1);
    if (newest) return newest.id;
    throw new DrError('NOT_FOUND', `${this.#repository.store.where}: no good backup`);
  }

  async #withPool<T>(use: (pool: SegmentPool) => Promise<T>, gate = new Gate()): Promise<T> {
    const pool = new SegmentPool(workersOf(this.#config), gate);
    try {
      return await use(pool);
    } catch (reason) {
      throw DrError.from(reason);
    } finally {
      // A worker that stands still hears nothing, not even that it should end.
      gate.release();
      await pool.close();
    }
  }
}

function stateOf(manifest: Manifest | undefined, missing: number) {
  if (!manifest) return 'damaged' as const;
  if (missing > 0) return 'incomplete' as const;
  return isWhole(manifest) ? ('ok' as const) : ('gap' as const);
}

function problemOf(manifest: Manifest | undefined, missing: number): string | undefined {
  if (missing > 0) return `${missing} segments missing`;
  const { gaps = [], damage = [] } = manifest?.log ?? {};
  const places = [
    ...damage.map(({ file, from }) => `damage in ${file} at ${from}`),
    ...gaps.map(({ from, to }) => `nothing from ${from} to ${to}`),
  ];
  if (places.length === 0) return undefined;
  return places.length > 1 ? `${places[0]} and ${places.length - 1} more` : places[0];
}

/** Sorts by time; the random part keeps two runs of one millisecond apart. */
const newId = (nowMs: number): string =>
  `${new Date(nowMs).toISOString().replace(/[-:]/g, '')}-${randomBytes(4).toString('hex')}`;

/** A mark that cannot be removed (the target is gone) ends by itself; the run's own error matters. */
async function releaseQuietly(release: Promise<void>): Promise<void> {
  await release.catch((reason: unknown) => DrError.from(reason));
}
