// Copies pinned log files into the repository as segments: workers read, compress and hash ranges, the
// main thread sends them. Whole files that the prior backup holds unchanged are named again, not read.
// Invariant: after the copy each file is proven to be still the file that was pinned (its edges).
import { DrError } from '../../core-broker/base/index.ts';
import { runLanes } from '../lanes.ts';
import type { LogFile } from '../log/index.ts';
import type { ManifestFile, SegmentRef } from '../manifest.ts';
import type { Repository } from '../repository/index.ts';
import { SEGMENT_BYTES, type SegmentPool } from '../segment/index.ts';
import { firstStoreTimestamp, hashEdges, type LogExtent } from './log-extent.ts';

export interface ArchiveInput {
  repository: Repository;
  pool: SegmentPool;
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
}

interface Range {
  file: ManifestFile;
  index: number;
  offset: number;
  rawBytes: number;
}

/** Archives every file of the extent. @throws the first failure, after all workers came to rest */
export async function archiveFiles(input: ArchiveInput): Promise<ArchiveTally> {
  const tally: ArchiveTally = { files: [], filesReused: 0, rawBytes: 0, newBytes: 0 };
  const ranges: Range[] = [];
  const fresh: ManifestFile[] = [];
  for (const log of input.extent.files) {
    const file = describe(input, log);
    tally.files.push(file);
    tally.rawBytes += file.dataBytes;
    const known = input.prior.get(file.name);
    if (known && isSame(known, file)) {
      file.segments = known.segments;
      tally.filesReused += 1;
      input.onBytes(file.dataBytes);
      continue;
    }
    fresh.push(file);
    ranges.push(...rangesOf(file));
  }
  // Two tasks a worker and one more, so that sending and compressing overlap.
  await runLanes(
    2 * input.pool.size + 1,
    ranges,
    async (range) => {
      tally.newBytes += await archiveRange(input, range);
      input.onBytes(range.rawBytes);
    },
    input.signal,
  );
  for (const file of fresh) proveUnchanged(input, file);
  return tally;
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
    segments: [],
  };
}

/** Only whole files are taken over: they never change again. */
const isSame = (known: ManifestFile, file: ManifestFile): boolean =>
  known.dataBytes === known.sizeBytes &&
  known.dataBytes === file.dataBytes &&
  known.mtimeMs === file.mtimeMs &&
  known.edgesSha256 === file.edgesSha256;

function rangesOf(file: ManifestFile): Range[] {
  const count = Math.ceil(file.dataBytes / SEGMENT_BYTES);
  return Array.from({ length: count }, (_, index) => {
    const offset = index * SEGMENT_BYTES;
    return { file, index, offset, rawBytes: Math.min(SEGMENT_BYTES, file.dataBytes - offset) };
  });
}

async function archiveRange(input: ArchiveInput, range: Range): Promise<number> {
  const { id, object } = await input.pool.archive({
    kind: 'archive',
    path: input.pathOf(range.file.name),
    offset: range.offset,
    rawBytes: range.rawBytes,
    level: input.level,
    key: input.repository.key?.bytes,
  });
  const segment: SegmentRef = { id, rawBytes: range.rawBytes, storedBytes: object.length };
  const { isNew } = await input.repository.putSegment(id, object);
  range.file.segments[range.index] = segment;
  return isNew ? object.length : 0;
}

function proveUnchanged(input: ArchiveInput, file: ManifestFile): void {
  if (hashEdges(input.pathOf(file.name), file.dataBytes) === file.edgesSha256) return;
  throw new DrError('DRIFTED', `commit-log file ${file.name} was rewritten while it was copied`, {
    hint: 'the store was cut or recycled this file; run the backup again',
    context: { file: file.name },
  });
}
