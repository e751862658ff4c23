// Builds a store from a backup, in an empty directory.
// Order: plan -> staging folder -> segments, each proven and on disk before it counts -> scan of every
// record -> cut -> offsets, queue ends, abort -> moved into place, the log last.
// A kill at any point leaves a folder no broker can boot from; the same command goes on from there.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type Clock, DrError } from '../../core-broker/base/index.ts';
import { runLanes } from '../lanes.ts';
import type { Manifest, ManifestFile, ManifestMetadata, SegmentRef } from '../manifest.ts';
import type { Repository } from '../repository/index.ts';
import { openSegment, SEGMENT_BYTES, type SegmentPool } from '../segment/index.ts';
import { finishStore } from './finish.ts';
import { planRestore, type RestoreCut, type RestorePlan } from './plan.ts';
import { type RestoredLog, scanRestored } from './scan-restored.ts';
import { Staging } from './staging.ts';

export interface RestoreInput {
  repository: Repository;
  pool: SegmentPool;
  manifest: Manifest;
  target: string;
  cut: RestoreCut;
  clock: Clock;
  signal: AbortSignal | undefined;
  onProgress: (progress: RestoreProgress) => void;
}

export interface RestoreProgress {
  phase: 'fetching' | 'scanning' | 'placing';
  doneBytes: number;
  totalBytes: number;
  /** Guess made from the first segments; undefined before. */
  predictedMs: number | undefined;
}

export interface RestoreResult {
  backupId: string;
  target: string;
  isResumed: boolean;
  logMin: number;
  logEnd: number;
  records: number;
  files: number;
  rawBytes: number;
  lastStoreTimestampMs: number | undefined;
  clampedOffsets: number;
  queuesKept: number;
  /** Places where queue offsets do not follow each other. */
  breaks: string[];
  predictedMs: number;
  actualMs: number;
}

/**
 * Restores. Durable on return.
 * @throws DrError REFUSED (target not empty), INCOMPLETE (gap), CORRUPT, NOT_FOUND (segment missing),
 *   DISK_FULL, LOCKED
 */
export async function restoreStore(input: RestoreInput): Promise<RestoreResult> {
  const startedAt = input.clock.monotonicMs();
  const plan = planRestore(input.manifest, input.cut);
  const { id: backupId, storeId } = input.manifest;
  const staging = Staging.open(input.target, { backupId, storeId, cut: input.cut ?? null });
  const prediction = new Prediction(input, plan);
  const folder = path.join(staging.storeDir, 'commitlog');
  const placing = staging.placingResult as RestoreResult | undefined;
  if (placing) {
    // Built and proven by a killed run. A broker may already write to what was moved: only move on.
    staging.place();
    return { ...placing, isResumed: true };
  }
  await fetchFiles(input, { plan, staging, folder, prediction });
  prediction.phase('scanning');
  const log = await scanRestored(folder, plan);
  staging.beginCut();
  cutFiles(folder, plan, log);
  const metadata = await fetchMetadata(input);
  const finished = finishStore({ ...input, storeDir: staging.storeDir, metadata, log });
  prediction.phase('placing');
  const result: RestoreResult = {
    backupId,
    target: input.target,
    isResumed: staging.isResumed,
    logMin: input.manifest.log.min,
    logEnd: log.end,
    records: log.records,
    files: plan.files.length,
    rawBytes: plan.rawBytes,
    lastStoreTimestampMs: log.lastStoreTimestampMs,
    ...finished,
    breaks: log.breaks,
    predictedMs: prediction.predictedMs ?? 0,
    actualMs: input.clock.monotonicMs() - startedAt,
  };
  staging.beginPlacing(result);
  staging.place();
  return result;
}

interface FetchContext {
  plan: RestorePlan;
  staging: Staging;
  folder: string;
  prediction: Prediction;
}

async function fetchFiles(input: RestoreInput, context: FetchContext): Promise<void> {
  fs.mkdirSync(context.folder, { recursive: true });
  for (const file of context.plan.files) prepareFile(context.folder, file);
  const pieces = context.plan.files.flatMap((file) =>
    file.segments.map((segment, index) => ({ file, segment, index })),
  );
  await runLanes(
    2 * input.pool.size + 1,
    pieces,
    async ({ file, segment, index }) => {
      const mark = `${file.name} ${index} ${segment.id}`;
      const isDone = context.staging.isDone(mark);
      if (!isDone) {
        await fetchSegment(input, segment, {
          path: path.join(context.folder, file.name),
          offset: index * SEGMENT_BYTES,
        });
        context.staging.markDone(mark);
      }
      context.prediction.advance(segment.rawBytes, isDone);
    },
    input.signal,
  );
}

/** Full size from the start: brokers accept no other. The tail stays a hole. */
function prepareFile(folder: string, file: ManifestFile): void {
  const fd = fs.openSync(path.join(folder, file.name), 'a');
  try {
    fs.ftruncateSync(fd, file.sizeBytes);
  } finally {
    fs.closeSync(fd);
  }
}

async function fetchSegment(
  input: RestoreInput,
  segment: SegmentRef,
  to: { path: string; offset: number },
): Promise<void> {
  const object = await input.repository.getSegment(segment.id);
  const key = input.repository.key?.bytes;
  const { rawBytes } = await input.pool.extract({
    kind: 'extract',
    object,
    id: segment.id,
    ...to,
    key,
  });
  if (rawBytes === segment.rawBytes) return;
  throw new DrError('CORRUPT', `segment ${segment.id}: ${rawBytes} of ${segment.rawBytes} bytes`);
}

/** Clears what lies behind the cut, then gives every file its size and time back. */
function cutFiles(folder: string, plan: RestorePlan, log: RestoredLog): void {
  for (const file of plan.files) {
    const name = path.join(folder, file.name);
    const keepBytes = Math.max(0, Math.min(file.dataBytes, log.end - file.startOffset));
    const isBehind = keepBytes === 0 && file !== plan.files[0];
    if (isBehind) {
      fs.rmSync(name);
      continue;
    }
    const fd = fs.openSync(name, 'r+');
    try {
      fs.ftruncateSync(fd, keepBytes);
      fs.ftruncateSync(fd, file.sizeBytes);
      fs.futimesSync(fd, file.mtimeMs / 1000, file.mtimeMs / 1000);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }
}

async function fetchMetadata(input: RestoreInput): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of input.manifest.metadata)
    found.set(entry.path, await fetchEntry(input, entry));
  return found;
}

/** One metadata file, every frame proven. @throws DrError CORRUPT, NOT_FOUND */
export async function fetchEntry(
  input: { repository: Repository },
  entry: ManifestMetadata,
): Promise<Buffer> {
  const content = Buffer.alloc(entry.sizeBytes);
  let at = 0;
  for (const segment of entry.segments) {
    const object = await input.repository.getSegment(segment.id);
    const base = at;
    const expect = { id: segment.id, key: input.repository.key };
    at += openSegment(object, expect, (raw, offset) => {
      raw.copy(content, base + offset);
    });
  }
  if (at === entry.sizeBytes) return content;
  throw new DrError('CORRUPT', `${entry.path}: ${at} of ${entry.sizeBytes} bytes`);
}

/** Bytes per ms that a scan does, until this machine has shown its own. */
const SCAN_BYTES_PER_MS = 400_000;
const SAMPLE_BYTES = 64 * 1024 * 1024;

/** Predicts the whole duration once, from the rate of the first segments, and reports progress. */
class Prediction {
  readonly #input: RestoreInput;
  readonly #totalBytes: number;
  readonly #startedAt: number;
  #fetchedBytes = 0;
  #doneBytes = 0;
  #phase: RestoreProgress['phase'] = 'fetching';
  predictedMs: number | undefined;

  constructor(input: RestoreInput, plan: RestorePlan) {
    this.#input = input;
    this.#totalBytes = plan.rawBytes;
    this.#startedAt = input.clock.monotonicMs();
  }

  advance(rawBytes: number, isDone: boolean): void {
    this.#doneBytes += rawBytes;
    if (!isDone) this.#fetchedBytes += rawBytes;
    const isSampled = this.#fetchedBytes >= Math.min(SAMPLE_BYTES, this.#totalBytes / 4);
    if (isSampled) this.predictedMs ??= this.#predict();
    this.#report();
  }

  phase(phase: RestoreProgress['phase']): void {
    this.#phase = phase;
    this.predictedMs ??= this.#predict();
    this.#report();
  }

  #predict(): number {
    const spentMs = this.#input.clock.monotonicMs() - this.#startedAt;
    const left = this.#totalBytes - this.#doneBytes;
    const msPerByte = this.#fetchedBytes > 0 ? spentMs / this.#fetchedBytes : 0;
    return Math.round(spentMs + left * msPerByte + this.#totalBytes / SCAN_BYTES_PER_MS);
  }

  #report(): void {
    this.#input.onProgress({
      phase: this.#phase,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      predictedMs: this.predictedMs,
    });
  }
}
