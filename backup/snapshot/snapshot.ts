// One backup of a live store directory, ours or a stock Apache broker's.
// Order: offsets -> pin the log files -> find the end -> copy -> topic tables -> clamp -> metadata
// segments -> manifest, last. A crash anywhere before the manifest leaves only segments that nobody
// names; the next run finds the ones it needs and sends only the rest.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type Clock, DrError } from '../../core-broker/base/index.ts';
import { listLogFiles, type QueueState, readQueueStates } from '../log/index.ts';
import {
  type Damage,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestFile,
  type ManifestMetadata,
  segmentsOf,
} from '../manifest.ts';
import { missingSegments, type Repository } from '../repository/index.ts';
import {
  buildSegment,
  type Gate,
  keyId,
  SEGMENT_BYTES,
  type SegmentPool,
} from '../segment/index.ts';
import { type ArchiveTally, archiveFiles } from './archive-files.ts';
import { clampFiles } from './clamp-files.ts';
import { type ConfigFile, readConfigFiles, readOperatorFiles } from './config-files.ts';
import { findExtent, type LogExtent } from './log-extent.ts';
import { type PinnedFiles, pinFiles } from './work-folder.ts';

/** The store to archive. */
export interface StoreSource {
  rootDir: string;
  /** Default: <rootDir>/commitlog. */
  commitLogDir: string;
  storeId: string;
  /** broker.conf and the like, kept beside the store's files. */
  configurationFiles: string[];
}

export interface SnapshotInput {
  source: StoreSource;
  repository: Repository;
  pool: SegmentPool;
  /** While it is shut nothing is read and nothing new is sent. */
  gate: Gate;
  level: number;
  id: string;
  clock: Clock;
  signal: AbortSignal | undefined;
  onProgress: (doneBytes: number, totalBytes: number) => void;
}

export interface SnapshotResult {
  id: string;
  storeId: string;
  /** False: a gap or damage in the log; what there is was archived. */
  isComplete: boolean;
  logMin: number;
  logMax: number;
  gaps: { from: number; to: number }[];
  /** Stretches of archived bytes that are no valid record. */
  damage: Damage[];
  /** Records proven while they were archived. */
  records: number;
  files: number;
  filesReused: number;
  rawBytes: number;
  storedBytes: number;
  newBytes: number;
  clampedOffsets: number;
  durationMs: number;
  pinnedBy: string;
}

/** Path of the metadata entry that is no file of a store: the ends of all queues. */
export const QUEUES_ENTRY = 'queues.json';

/**
 * Makes one backup. Durable on return.
 * @throws DrError REFUSED (not a store we can archive), CORRUPT, DRIFTED, DISK_FULL, UNREACHABLE, ...
 *   In every case no manifest was written.
 */
export async function takeSnapshot(input: SnapshotInput): Promise<SnapshotResult> {
  const { source, clock } = input;
  const startedMs = clock.nowMs();
  const startedAt = clock.monotonicMs();
  refuseUnknownStores(source);
  input.pool.warm();
  const early = await readConfigFiles(source.rootDir, 'before-log');
  const logFiles = listLogFiles(source.commitLogDir);
  const names = logFiles.map((file) => file.name);
  const pinned = pinFiles(source.rootDir, source.commitLogDir, names);
  try {
    const extent = await findExtent(logFiles, pinned.pathOf);
    const prior = await findPrior(input);
    const tally = await archiveExtent(input, { extent, pinned, prior });
    const late = await readConfigFiles(source.rootDir, 'after-log');
    requireTopics(extent, late);
    const queues = readQueueStates(path.join(source.rootDir, 'consumequeue'), extent);
    const clamped = await clampFiles([...early, ...late], { extent, queues, pinned });
    const operator = readOperatorFiles(source.configurationFiles);
    const metadata = await archiveMetadata(input, [...clamped.files, ...operator, asFile(queues)]);
    const draft = { startedMs, prior: prior?.id ?? null, clampedOffsets: clamped.count };
    const manifest = compose(input, { ...draft, extent, tally, metadata });
    await input.repository.saveManifest(manifest);
    const durationMs = clock.monotonicMs() - startedAt;
    return report(manifest, tally, { durationMs, pinnedBy: pinned.how });
  } finally {
    pinned.release();
  }
}

/** Formats whose data would be missed in silence are refused by name. */
function refuseUnknownStores(source: StoreSource): void {
  if (!fs.existsSync(source.commitLogDir)) {
    throw new DrError('NOT_FOUND', `${source.commitLogDir}: no commit log there`, {
      hint: 'name the broker’s storePathRootDir',
    });
  }
  const odd = fs.readdirSync(source.rootDir).find((name) => name.startsWith('dledger-'));
  if (odd) throw new DrError('REFUSED', `${source.rootDir}: ${odd} is a DLedger store`);
  const progress = fs.existsSync(path.join(source.rootDir, 'restoring'));
  if (progress) throw new DrError('REFUSED', `${source.rootDir}: an unfinished restore`);
}

function requireTopics(extent: LogExtent, files: readonly ConfigFile[]): void {
  if (extent.max === extent.min) return;
  if (files.some((file) => file.path === 'config/topics.json')) return;
  throw new DrError('REFUSED', 'the store has messages but no config/topics.json', {
    hint: 'without it a broker serves nothing; RocksDB metadata is not supported',
  });
}

/** Newest readable backup of this store whose segments are all there. */
async function findPrior(input: SnapshotInput): Promise<Manifest | undefined> {
  const entries = await input.repository.listManifests(input.source.storeId);
  const newest = entries.reverse().find((entry) => entry.manifest !== undefined);
  if (!newest?.manifest) return undefined;
  const present = await input.repository.listSegments();
  const missing = missingSegments(segmentsOf(newest.manifest), present);
  const lost = new Set(missing.map((segment) => segment.id));
  const files = newest.manifest.files.filter(
    (file) => !file.segments.some((segment) => lost.has(segment.id)),
  );
  return { ...newest.manifest, files };
}

function archiveExtent(
  input: SnapshotInput,
  found: { extent: LogExtent; pinned: PinnedFiles; prior: Manifest | undefined },
): Promise<ArchiveTally> {
  const { extent, pinned, prior } = found;
  const total = extent.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const unused = (extent.files.at(-1)?.startOffset ?? 0) + (extent.files[0]?.sizeBytes ?? 0);
  const totalBytes = total - (unused - extent.max);
  let doneBytes = 0;
  return archiveFiles({
    repository: input.repository,
    pool: input.pool,
    gate: input.gate,
    level: input.level,
    extent,
    pathOf: pinned.pathOf,
    prior: new Map((prior?.files ?? []).map((file): [string, ManifestFile] => [file.name, file])),
    signal: input.signal,
    onBytes: (bytes) => {
      doneBytes += bytes;
      input.onProgress(doneBytes, totalBytes);
    },
  });
}

const asFile = (queues: readonly QueueState[]): ConfigFile => ({
  path: QUEUES_ENTRY,
  content: Buffer.from(JSON.stringify(queues)),
  mtimeMs: 0,
});

async function archiveMetadata(
  input: SnapshotInput,
  files: readonly ConfigFile[],
): Promise<ManifestMetadata[]> {
  const { repository, level } = input;
  const entries: ManifestMetadata[] = [];
  for (const { path: name, content, mtimeMs } of files) {
    const entry: ManifestMetadata = {
      path: name,
      sizeBytes: content.length,
      mtimeMs,
      segments: [],
    };
    for (let at = 0; at < content.length; at += SEGMENT_BYTES) {
      const piece = content.subarray(at, at + SEGMENT_BYTES);
      const read = (into: Buffer, offset: number) => void piece.copy(into, 0, offset);
      const { id, object } = buildSegment(piece.length, read, { level, key: repository.key });
      await repository.putSegment(id, object);
      entry.segments.push({ id, rawBytes: piece.length, storedBytes: object.length });
    }
    entries.push(entry);
  }
  return entries;
}

interface Draft {
  startedMs: number;
  prior: string | null;
  extent: LogExtent;
  tally: ArchiveTally;
  metadata: ManifestMetadata[];
  clampedOffsets: number;
}

function compose(input: SnapshotInput, draft: Draft): Manifest {
  const { extent, tally } = draft;
  const { key } = input.repository;
  return {
    formatVersion: MANIFEST_VERSION,
    id: input.id,
    storeId: input.source.storeId,
    startedMs: draft.startedMs,
    createdMs: input.clock.nowMs(),
    prior: draft.prior,
    encryption: key ? { keyId: keyId(key) } : null,
    log: {
      min: extent.min,
      max: extent.max,
      fileSizeBytes: extent.files[0]?.sizeBytes ?? 0,
      lastStoreTimestampMs: extent.lastStoreTimestampMs ?? null,
      gaps: extent.gaps,
      damage: tally.damage,
    },
    files: tally.files,
    metadata: draft.metadata,
    clampedOffsets: draft.clampedOffsets,
  };
}

function report(
  manifest: Manifest,
  tally: ArchiveTally,
  run: { durationMs: number; pinnedBy: string },
): SnapshotResult {
  return {
    id: manifest.id,
    storeId: manifest.storeId,
    isComplete: manifest.log.gaps.length === 0 && manifest.log.damage.length === 0,
    logMin: manifest.log.min,
    logMax: manifest.log.max,
    gaps: manifest.log.gaps,
    damage: manifest.log.damage,
    records: manifest.files.reduce((sum, file) => sum + (file.records ?? 0), 0),
    files: manifest.files.length,
    filesReused: tally.filesReused,
    rawBytes: tally.rawBytes,
    storedBytes: segmentsOf(manifest).reduce((sum, segment) => sum + segment.storedBytes, 0),
    newBytes: tally.newBytes,
    clampedOffsets: manifest.clampedOffsets,
    ...run,
  };
}
