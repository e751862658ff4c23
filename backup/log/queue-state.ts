// Where each topic queue starts and ends, read from its consume-queue files, and the smallest
// consume queue that keeps such an end alive.
// Why: after retention a queue may hold no record in the log at all. Rebuilt from the log alone it
// would begin at 0 again while its consumers stand at N, and the next N messages would never be seen.
// Entry: physicalOffset 8 | size 4 | tagsCode 8; index of entry n is n * 20 counted over all files;
// entries before a queue's start are blank: offset 0, size 0x7FFFFFFF, tags 0.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { readLong } from './record.ts';

const ENTRY_BYTES = 20;
const BLANK_SIZE = 0x7fffffff;
const NAME = /^\d{20}$/;
/** Apache's default: 300,000 entries. */
export const CONSUME_QUEUE_FILE_BYTES = 6_000_000;

export interface QueueState {
  topic: string;
  queueId: number;
  /** First queue offset whose record the log still holds; `max` when it holds none. */
  min: number;
  /** Next queue offset: entries written so far. */
  max: number;
  /** Physical offset and size of the last entry. */
  lastPhysicalOffset: number;
  lastSizeBytes: number;
  fileBytes: number;
}

/** Byte range of the copied log: entries beyond its end do not count. */
export interface LogRange {
  min: number;
  max: number;
}

/** Every queue below `consumequeue/` that has at least one entry. */
export function readQueueStates(consumeQueueDir: string, log: LogRange): QueueState[] {
  if (!fs.existsSync(consumeQueueDir)) return [];
  return foldersOf(consumeQueueDir).flatMap((topic) =>
    foldersOf(path.join(consumeQueueDir, topic)).flatMap((queue) => {
      const state = readQueue(path.join(consumeQueueDir, topic, queue), log);
      return state && /^\d+$/.test(queue) ? { topic, queueId: Number(queue), ...state } : [];
    }),
  );
}

const foldersOf = (folder: string): string[] =>
  fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

type QueueEnd = Omit<QueueState, 'topic' | 'queueId'>;

function readQueue(folder: string, log: LogRange): QueueEnd | undefined {
  const files = fs
    .readdirSync(folder)
    .filter((name) => NAME.test(name))
    .sort();
  // Newest first: a file allocated ahead holds no entry yet.
  for (const name of [...files].reverse()) {
    const found = lastEntry(path.join(folder, name), log.max);
    if (!found) continue;
    const { index, ...entry } = found;
    const max = Number(name) / ENTRY_BYTES + index + 1;
    return { min: firstInLog(folder, files, { log, max }), max, ...entry };
  }
  return undefined;
}

/** Calls `use` with a reader of entries; the buffer is reused. */
function withEntries<T>(
  file: string,
  use: (read: (index: number) => Buffer, count: number, fileBytes: number) => T,
): T {
  const fd = fs.openSync(file, 'r');
  try {
    const fileBytes = fs.fstatSync(fd).size;
    const entry = Buffer.alloc(ENTRY_BYTES);
    const read = (index: number) => {
      fs.readSync(fd, entry, 0, ENTRY_BYTES, index * ENTRY_BYTES);
      return entry;
    };
    return use(read, Math.floor(fileBytes / ENTRY_BYTES), fileBytes);
  } finally {
    fs.closeSync(fd);
  }
}

/** First index in [0, count) for which `isPast` holds; it must hold for all behind it. */
function firstIndex(count: number, isPast: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isPast(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Last entry of a record before `logEnd`: entries are dense and the tail is zero. */
function lastEntry(file: string, logEnd: number) {
  return withEntries(file, (read, count, fileBytes) => {
    const end = firstIndex(count, (index) => {
      const entry = read(index);
      return entry.readInt32BE(8) <= 0 || readLong(entry, 0) >= logEnd;
    });
    if (end === 0) return undefined;
    const entry = read(end - 1);
    const lastPhysicalOffset = readLong(entry, 0);
    return { index: end - 1, lastPhysicalOffset, lastSizeBytes: entry.readInt32BE(8), fileBytes };
  });
}

function firstInLog(
  folder: string,
  files: readonly string[],
  bounds: { log: LogRange; max: number },
): number {
  for (const name of files) {
    const found = withEntries(path.join(folder, name), (read, count) => {
      const index = firstIndex(count, (at) => {
        const entry = read(at);
        const size = entry.readInt32BE(8);
        const isBlank = size === BLANK_SIZE && readLong(entry, 0) === 0;
        return !isBlank && (size <= 0 || readLong(entry, 0) >= bounds.log.min);
      });
      return index < count ? Number(name) / ENTRY_BYTES + index : undefined;
    });
    if (found !== undefined) return Math.min(found, bounds.max);
  }
  return bounds.max;
}

/**
 * Writes a consume queue that holds nothing but its end. Its last entry must not be blank: brokers
 * take their dispatch position from the last entry's offset + size, and blank says 2 GiB.
 */
export function writeEmptyQueue(consumeQueueDir: string, state: QueueState): void {
  const perFile = state.fileBytes / ENTRY_BYTES;
  const last = state.max - 1;
  const first = Math.floor(last / perFile) * perFile;
  const bytes = Buffer.alloc((last - first + 1) * ENTRY_BYTES);
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) bytes.writeInt32BE(BLANK_SIZE, at + 8);
  const at = bytes.length - ENTRY_BYTES;
  bytes.writeBigInt64BE(BigInt(state.lastPhysicalOffset), at);
  bytes.writeInt32BE(state.lastSizeBytes, at + 8);
  const folder = path.join(consumeQueueDir, state.topic, String(state.queueId));
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, String(first * ENTRY_BYTES).padStart(20, '0'));
  const fd = fs.openSync(file, 'w');
  try {
    fs.writeSync(fd, bytes, 0, bytes.length, 0);
    fs.ftruncateSync(fd, state.fileBytes);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
