// Copies pinned log files into the repository as segments: workers read, compress and hash ranges, the
// main thread sends them. Whole files that the prior backup holds unchanged are named again, not read.
// The workers walk every record on the way; their answers are chained here. Where the chain breaks the
// file is walked again alone, and what is no record goes into the manifest as damage.
// Invariant: a file counts as proven only if the bytes that were archived were walked end to end.
// Invariant: after the copy each file is proven to be still the file that was pinned (its edges).
import { DrError } from '../../core-broker/base/index.ts';
import { runLanes } from '../lanes.ts';
import type { LogFile } from '../log/index.ts';
import type { Damage, ManifestFile, SegmentRef } from '../manifest.ts';
import type { Repository } from '../repository/index.ts';
import { type Gate, type RangeScan, SEGMENT_BYTES, type SegmentPool } from '../segment/index.ts';
import { walkFile } from './file-damage.ts';
import { firstStoreTimestamp, hashEdges, type LogExtent } from './log-extent.ts';

export interface ArchiveInput {
  repository: Repository;
  pool: SegmentPool;
  gate: Gate;
  level: number;
  extent: LogExtent;
  pathOf: (name: string) => string;
  /** Files of the prior manifest whose segments are all present, by name. */
  prior: ReadonlyMap<string, ManifestFile>;
  signal: AbortSignal | undefined;
  onBytes: (rawBytes: number) => void;
}

export interface ArchiveTally {
  files: ManifestFile[];
  filesReused: number;
  rawBytes: number;
  /** Bytes of segments that had to be sent. */
  newBytes: number;
  damage: Damage[];
}

interface Fresh {
  file: ManifestFile;
  /** What the workers saw, by range. */
  scans: RangeScan[];
}

interface Range {
  fresh: Fresh;
  index: number;
  offset: number;
  rawBytes: number;
  firstOffset: number | undefined;
}

/** Archives every file of the extent. @throws the first failure, after all workers came to rest */
export async function archiveFiles(input: ArchiveInput): Promise<ArchiveTally> {
  const tally: ArchiveTally = { files: [], filesReused: 0, rawBytes: 0, newBytes: 0, damage: [] };
  const all: Fresh[] = [];
  for (const log of input.extent.files) {
    const file = describe(input, log);
    tally.files.push(file);
    tally.rawBytes += file.dataBytes;
    const known = input.prior.get(file.name);
    if (known && isSame(known, file)) {
      file.segments = known.segments;
      file.records = known.records;
      tally.filesReused += 1;
      input.onBytes(file.dataBytes);
      continue;
    }
    all.push({ file, scans: [] });
  }
  const ranges = all.flatMap((fresh) => rangesOf(fresh, [fresh.file.startOffset]));
  await archiveRanges(input, tally, ranges);
  for (const fresh of all) await proveRecords(input, tally, fresh);
  for (const { file } of all) proveUnchanged(input, file);
  return tally;
}

/** Two tasks a worker and one more, so that sending and compressing overlap. */
function archiveRanges(input: ArchiveInput, tally: ArchiveTally, ranges: Range[]): Promise<void> {
  const work = async (range: Range) => {
    tally.newBytes += await archiveRange(input, range);
    input.onBytes(range.rawBytes);
  };
  return runLanes(2 * input.pool.size + 1, ranges, work, input.signal);
}

/**
 * Notes how many records a file holds, or where it is damaged.
 * @throws DrError DRIFTED when the archived bytes are damaged and the file is not: a read went wrong
 */
async function proveRecords(input: ArchiveInput, tally: ArchiveTally, fresh: Fresh): Promise<void> {
  const { file } = fresh;
  file.records = recordsOf(fresh);
  if (file.records !== null) return;
  const walk = await walkFile(input.pathOf(file.name), file);
  tally.damage.push(...walk.damage);
  if (walk.damage.length > 0) return;
  // The file is sound: a range began its walk at a wrong place, or its bytes were read damaged.
  await archiveRanges({ ...input, onBytes: () => undefined }, tally, rangesOf(fresh, walk.firsts));
  file.records = recordsOf(fresh);
  if (file.records === null) throw drifted(file, 'gives other bytes each time it is read');
}

/** Records of the file; null unless its ranges join without a break from first to last byte. */
function recordsOf({ file, scans }: Fresh): number | null {
  let end = file.startOffset;
  let records = 0;
  for (const scan of scans) {
    if (!scan.isSound || (scan.first ?? end) !== end) return null;
    end = scan.end ?? end;
    records += scan.records;
  }
  return end === file.startOffset + file.dataBytes ? records : null;
}

function describe(input: ArchiveInput, log: LogFile): ManifestFile {
  const isLast = log === input.extent.files.at(-1);
  const dataBytes = isLast ? input.extent.max - log.startOffset : log.sizeBytes;
  const file = input.pathOf(log.name);
  return {
    name: log.name,
    startOffset: log.startOffset,
    sizeBytes: log.sizeBytes,
    dataBytes,
    mtimeMs: log.mtimeMs,
    firstStoreTimestampMs: firstStoreTimestamp(file, log.startOffset),
    edgesSha256: hashEdges(file, dataBytes),
    records: null,
    segments: [],
  };
}

/** Only whole, proven files are taken over: they never change again. */
const isSame = (known: ManifestFile, file: ManifestFile): boolean =>
  known.records !== null &&
  known.dataBytes === known.sizeBytes &&
  known.dataBytes === file.dataBytes &&
  known.mtimeMs === file.mtimeMs &&
  known.edgesSha256 === file.edgesSha256;

/** @param firsts  physical offset of the first record of each range, where it is known */
function rangesOf(fresh: Fresh, firsts: readonly (number | undefined)[]): Range[] {
  const { dataBytes } = fresh.file;
  const count = Math.ceil(dataBytes / SEGMENT_BYTES);
  return Array.from({ length: count }, (_, index) => {
    const offset = index * SEGMENT_BYTES;
    const rawBytes = Math.min(SEGMENT_BYTES, dataBytes - offset);
    return { fresh, index, offset, rawBytes, firstOffset: firsts[index] };
  });
}

async function archiveRange(input: ArchiveInput, range: Range): Promise<number> {
  const { file, scans } = range.fresh;
  const { startOffset, dataBytes } = file;
  const { id, object, scan } = await input.pool.archive({
    kind: 'archive',
    path: input.pathOf(file.name),
    offset: range.offset,
    rawBytes: range.rawBytes,
    level: input.level,
    key: input.repository.key?.bytes,
    scan: { startOffset, dataBytes, firstOffset: range.firstOffset },
  });
  const segment: SegmentRef = { id, rawBytes: range.rawBytes, storedBytes: object.length };
  await input.gate.passed();
  const { isNew } = await input.repository.putSegment(id, object);
  file.segments[range.index] = segment;
  scans[range.index] = scan;
  return isNew ? object.length : 0;
}

function proveUnchanged(input: ArchiveInput, file: ManifestFile): void {
  if (hashEdges(input.pathOf(file.name), file.dataBytes) === file.edgesSha256) return;
  throw drifted(file, 'was rewritten while it was copied');
}

const drifted = (file: ManifestFile, what: string): DrError =>
  new DrError('DRIFTED', `commit-log file ${file.name} ${what}`, {
    hint: 'the store was cut or recycled this file; run the backup again',
    context: { file: file.name },
  });
