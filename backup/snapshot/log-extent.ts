// How far the log of a live store reaches: the end of its last whole record, found from behind in the
// newest file that holds data. Files behind it were allocated ahead and are empty: a file counts as such
// only after every byte of it was looked at.
import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import { sleep } from '../../core-broker/base/index.ts';
import {
  emptyView,
  endOfBytes,
  endOfDamage,
  type FileScan,
  findGaps,
  type Gap,
  type LogFile,
  nextRecord,
  readRecord,
  type ScanInput,
  scanFile,
} from '../log/index.ts';

export interface LogExtent {
  /** Files that hold data, in order. */
  files: LogFile[];
  min: number;
  /** Behind the last whole record. */
  max: number;
  gaps: Gap[];
  lastStoreTimestampMs: number | undefined;
}

/** @param pathOf  where the pinned file of a name is */
export async function findExtent(
  files: readonly LogFile[],
  pathOf: (name: string) => string,
): Promise<LogExtent> {
  let count = files.length;
  while (count > 0) {
    const file = files[count - 1] as LogFile;
    const scan = await findEnd({
      path: pathOf(file.name),
      startOffset: file.startOffset,
      sizeBytes: file.sizeBytes,
    });
    if (scan.end > file.startOffset) {
      const kept = files.slice(0, count);
      const { end: max, lastStoreTimestampMs } = scan;
      return {
        files: kept,
        min: firstStart(kept),
        max,
        gaps: findGaps(kept),
        lastStoreTimestampMs,
      };
    }
    count -= 1;
  }
  const min = firstStart(files);
  return { files: [], min, max: min, gaps: [], lastStoreTimestampMs: undefined };
}

const TRIES = 4;
const PAUSE_MS = 50;
/** The newest bytes, which a crash may have torn, are walked here; older ones while they are archived. */
const TAIL_WALK_BYTES = 8 * 1024 * 1024;

/**
 * Finds the end of the last valid record of a file. Bytes that are none, zeros included, end the log only
 * if nothing valid follows; else the log goes on behind them, and the copy will report the damage.
 * Why from behind: a walk from the file's first record would read all of it before the copy can begin.
 */
async function findEnd(input: ScanInput): Promise<FileScan> {
  const written = await endOfBytes(input);
  let scan = await scanTail(input, written);
  for (let attempt = 1; attempt < TRIES; attempt++) {
    if ((await goesOnAt(input, scan, written)) === undefined && scan.stop !== 'invalid')
      return scan;
    // It may be written to: a record caught half-written is whole a moment later.
    await sleep(PAUSE_MS);
    scan = await scanTail(input, written);
  }
  for (;;) {
    const from = await goesOnAt(input, scan, written);
    if (from === undefined) return scan;
    const { lastStoreTimestampMs } = scan;
    scan = await scanFile({ ...input, from }, () => true);
    scan.lastStoreTimestampMs ??= lastStoreTimestampMs;
  }
}

async function goesOnAt(
  input: ScanInput,
  scan: FileScan,
  written: number,
): Promise<number | undefined> {
  if (scan.stop !== 'invalid' && scan.stop !== 'zero') return undefined;
  return scan.end < written ? await endOfDamage(input, scan.end) : undefined;
}

/** Walks the newest records with their CRCs, from a record at least TAIL_WALK_BYTES before the end. */
async function scanTail(input: ScanInput, written: number): Promise<FileScan> {
  for (let span = TAIL_WALK_BYTES; written - span > input.startOffset; span *= 4) {
    const from = await nextRecord(input, written - span);
    if (from !== undefined) return await scanFile({ ...input, from }, () => true);
  }
  return await scanFile(input, () => true);
}

const firstStart = (files: readonly LogFile[]): number => files[0]?.startOffset ?? 0;

const HEAD_BYTES = 4 * 1024;
const TAIL_BYTES = 64 * 1024;

/**
 * SHA-256 of both edges of [0, dataBytes): cheap proof that a file still is the one it was. A store that
 * recycles or cuts files changes one of them.
 */
export function hashEdges(file: string, dataBytes: number): string {
  const fd = fs.openSync(file, 'r');
  try {
    const head = readAt(fd, 0, Math.min(HEAD_BYTES, dataBytes));
    const tailBytes = Math.min(TAIL_BYTES, dataBytes);
    const tail = readAt(fd, dataBytes - tailBytes, tailBytes);
    return hash('sha256', Buffer.concat([head, tail]), 'hex');
  } finally {
    fs.closeSync(fd);
  }
}

/** Store time of the record a file starts with, for restores to a time. */
export function firstStoreTimestamp(file: string, startOffset: number): number | null {
  const fd = fs.openSync(file, 'r');
  try {
    const sizeBytes = readAt(fd, 0, 4).readInt32BE(0);
    if (sizeBytes <= 0 || sizeBytes > 64 * 1024 * 1024) return null;
    const bytes = readAt(fd, 0, sizeBytes);
    const view = emptyView();
    const place = { bytes, at: 0, end: bytes.length, physicalOffset: startOffset };
    return readRecord(place, view) === 'record' ? view.storeTimestampMs : null;
  } finally {
    fs.closeSync(fd);
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const read = fs.readSync(fd, bytes, 0, length, position);
  return bytes.subarray(0, read);
}
