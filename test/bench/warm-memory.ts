// Memory for what a bench lets others write. A guest gives memory that lies free back to its host within seconds,
// at once what is more than a GiB of it, and then the first touch of a page costs eight times the write of a warm one:
// a price of the host that hits who writes later or longer, whatever its program does. So memory is written by files
// of the bench first, which go before a short load (touchMemory) or as the measured files grow (onWarmMemory).
// Why files: memory of a process comes from other free lists than that of a page cache and warms nothing for it.
import * as fs from 'node:fs';
import * as path from 'node:path';

const PIECE_BYTES = 32 * 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;
/** Free beyond what was written: more than anything here writes in a few ticks. */
const AHEAD_BYTES = 256 * 1024 * 1024;
const TICK_MS = 10;

export interface WarmOptions {
  /** For the files that hold the memory; on the disk of what is measured. */
  holdIn: string;
  /** Where the measured files grow; it may not exist yet. */
  folder: string;
  /** What they take at most. */
  bytes: number;
}

/** Makes memory ready for files of `bytes`, less than a GiB, that are written at once. */
export function touchMemory(folder: string, bytes: number): void {
  const file = path.join(folder, 'touched');
  fill(file, bytes);
  fs.rmSync(file);
}

/** Runs `write` while the memory its files need is given free ahead of it. */
export async function onWarmMemory<T>(options: WarmOptions, write: () => Promise<T>): Promise<T> {
  const { holdIn, folder, bytes } = options;
  const before = allocatedBytes(folder);
  const pieces = hold(holdIn, bytes);
  let freed = 0;
  const follow = () => {
    const wanted = allocatedBytes(folder) - before + AHEAD_BYTES;
    for (; freed < wanted && pieces.length > 0; freed += PIECE_BYTES) fs.rmSync(pieces.pop()!);
  };
  follow();
  const timer = setInterval(follow, TICK_MS);
  try {
    return await write();
  } finally {
    clearInterval(timer);
    for (const piece of pieces) fs.rmSync(piece);
  }
}

/** @returns files whose pages are in the page cache */
const hold = (folder: string, bytes: number): string[] =>
  Array.from({ length: Math.ceil(bytes / PIECE_BYTES) }, (_, n) => {
    const file = path.join(folder, `held-${n}`);
    fill(file, PIECE_BYTES);
    return file;
  });

function fill(file: string, bytes: number): void {
  const text = Buffer.alloc(WRITE_BYTES, 'x');
  const fd = fs.openSync(file, 'w');
  for (let at = 0; at < bytes; at += WRITE_BYTES) fs.writeSync(fd, text);
  fs.closeSync(fd);
}

/** What the files of a folder take, holes not counted. */
function allocatedBytes(folder: string): number {
  if (!fs.existsSync(folder)) return 0;
  let sum = 0;
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const known = fs.statSync(file, { throwIfNoEntry: false });
    if (known?.isFile()) sum += known.blocks * 512;
  }
  return sum;
}
