// Proves a backup at one of three depths. Each deeper one contains the ones before.
//   listed   manifest intact, every segment present in its size
//   hashed   every frame of every segment read back and proven
//   restored restored into a temporary folder and every record walked
// A gap or a broken proof is a result, not an exception: the caller turns `code` into an exit status.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Clock, DrError } from '../../core-broker/base/index.ts';
import { runLanes } from '../lanes.ts';
import { type Manifest, type SegmentRef, segmentsOf } from '../manifest.ts';
import { missingSegments, type Repository, segmentKey } from '../repository/index.ts';
import { restoreStore } from '../restore/index.ts';
import type { SegmentPool } from '../segment/index.ts';

export const VERIFY_DEPTHS = ['listed', 'hashed', 'restored'] as const;
export type VerifyDepth = (typeof VERIFY_DEPTHS)[number];

export interface VerifyProblem {
  kind: 'manifest' | 'missing' | 'damaged' | 'gap' | 'record' | 'sequence';
  /** Object key, or file and offset. */
  at: string;
  text: string;
}

export interface VerifyResult {
  id: string;
  depth: VerifyDepth;
  /** Undefined: the proof holds. INCOMPLETE: a gap and nothing worse. */
  code: 'INCOMPLETE' | 'VERIFY_FAILED' | undefined;
  problems: VerifyProblem[];
  segments: number;
  bytesRead: number;
  records: number | undefined;
  durationMs: number;
}

export interface VerifyInput {
  repository: Repository;
  pool: SegmentPool;
  id: string;
  storeId: string | undefined;
  depth: VerifyDepth;
  /** Where the third depth restores to; needs room for the whole store. */
  workDir: string | undefined;
  clock: Clock;
  signal: AbortSignal | undefined;
  onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** @throws DrError only when the repository itself cannot be used (NOT_FOUND, UNREACHABLE, AUTH) */
export async function verifyBackup(input: VerifyInput): Promise<VerifyResult> {
  const startedAt = input.clock.monotonicMs();
  const state = { problems: [] as VerifyProblem[], bytesRead: 0, segments: 0 };
  let records: number | undefined;
  const manifest = await loadOrReport(input, state.problems);
  if (manifest) {
    const needed = uniqueSegments(manifest);
    state.segments = needed.length;
    reportGaps(manifest, state.problems);
    reportDamage(manifest, state.problems);
    await checkListed(input, needed, state.problems);
    if (input.depth !== 'listed') await checkHashed(input, needed, state);
    const isSound = state.problems.length === 0;
    if (input.depth === 'restored' && isSound) {
      records = await checkRestored(input, manifest, state.problems);
    }
  }
  return {
    id: input.id,
    depth: input.depth,
    code: codeOf(state.problems),
    ...state,
    records,
    durationMs: input.clock.monotonicMs() - startedAt,
  };
}

function codeOf(problems: readonly VerifyProblem[]): VerifyResult['code'] {
  if (problems.length === 0) return undefined;
  return problems.every((problem) => problem.kind === 'gap') ? 'INCOMPLETE' : 'VERIFY_FAILED';
}

async function loadOrReport(input: VerifyInput, problems: VerifyProblem[]) {
  try {
    return await input.repository.loadManifest(input.id, input.storeId);
  } catch (reason) {
    if (!DrError.is(reason, 'CORRUPT')) throw reason;
    problems.push({ kind: 'manifest', at: input.id, text: reason.message });
    return undefined;
  }
}

const uniqueSegments = (manifest: Manifest): SegmentRef[] => [
  ...new Map(segmentsOf(manifest).map((segment) => [segment.id, segment])).values(),
];

function reportGaps(manifest: Manifest, problems: VerifyProblem[]): void {
  for (const gap of manifest.log.gaps) {
    const text = `${gap.to - gap.from} bytes of the log were not there at backup time`;
    problems.push({ kind: 'gap', at: `${gap.from}-${gap.to}`, text });
  }
}

function reportDamage(manifest: Manifest, problems: VerifyProblem[]): void {
  for (const { file, from, to } of manifest.log.damage) {
    const text = `${to - from} bytes were no valid record when they were archived`;
    problems.push({ kind: 'record', at: `${file}:${from}`, text });
  }
}

async function checkListed(input: VerifyInput, needed: SegmentRef[], problems: VerifyProblem[]) {
  const present = await input.repository.listSegments();
  for (const segment of missingSegments(needed, present)) {
    const found = present.get(segment.id)?.sizeBytes;
    const text = found === undefined ? 'is not there' : `${found} of ${segment.storedBytes} bytes`;
    problems.push({ kind: 'missing', at: segmentKey(segment.id), text });
  }
}

async function checkHashed(
  input: VerifyInput,
  needed: SegmentRef[],
  state: { problems: VerifyProblem[]; bytesRead: number },
): Promise<void> {
  const { repository, pool } = input;
  const total = needed.reduce((sum, segment) => sum + segment.storedBytes, 0);
  const missing = new Set(state.problems.map((problem) => problem.at));
  const check = async (segment: SegmentRef) => {
    if (missing.has(segmentKey(segment.id))) return;
    const problem = await proveSegment({ repository, pool }, segment);
    if (problem) state.problems.push(problem);
    state.bytesRead += segment.storedBytes;
    input.onProgress(state.bytesRead, total);
  };
  await runLanes(2 * pool.size + 1, needed, check, input.signal);
}

async function proveSegment(
  tools: { repository: Repository; pool: SegmentPool },
  segment: SegmentRef,
): Promise<VerifyProblem | undefined> {
  const at = segmentKey(segment.id);
  try {
    const object = await tools.repository.getSegment(segment.id);
    const { rawBytes } = await tools.pool.extract({
      kind: 'extract',
      object,
      id: segment.id,
      path: undefined,
      offset: 0,
      key: tools.repository.key?.bytes,
    });
    if (rawBytes === segment.rawBytes) return undefined;
    return { kind: 'damaged', at, text: `${rawBytes} of ${segment.rawBytes} bytes` };
  } catch (reason) {
    if (DrError.is(reason, 'CORRUPT')) return { kind: 'damaged', at, text: reason.message };
    if (DrError.is(reason, 'NOT_FOUND')) return { kind: 'missing', at, text: 'is not there' };
    throw reason;
  }
}

async function checkRestored(
  input: VerifyInput,
  manifest: Manifest,
  problems: VerifyProblem[],
): Promise<number | undefined> {
  const parent = input.workDir ?? os.tmpdir();
  const target = fs.mkdtempSync(path.join(parent, 'dr-verify-'));
  try {
    const { repository, pool, clock, signal } = input;
    const onProgress = () => undefined;
    const common = { repository, pool, clock, signal, onProgress };
    const result = await restoreStore({ ...common, manifest, target, cut: undefined });
    for (const text of result.breaks) problems.push({ kind: 'sequence', at: 'log', text });
    return result.records;
  } catch (reason) {
    if (!DrError.is(reason, 'CORRUPT')) throw reason;
    problems.push({
      kind: 'record',
      at: String(reason.context['file'] ?? ''),
      text: reason.message,
    });
    return undefined;
  } finally {
    fs.rmSync(target, { recursive: true, force: true });
  }
}
