// The files of a commit log: names are 20-digit start offsets, all of one size.
// Trap: brokers allocate the next file ahead, full size and all zero; such files hold no data.
// A missing file between two others is a gap: reported, never bridged in silence.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../core-broker/base/index.ts';

export interface LogFile {
  name: string;
  path: string;
  startOffset: number;
  sizeBytes: number;
  mtimeMs: number;
}

export interface Gap {
  from: number;
  to: number;
}

const NAME = /^\d{20}$/;

/**
 * Files of one log folder in order; a zero-length last file is left out, as brokers do.
 * @throws DrError CORRUPT when sizes differ or a name does not fit the size
 */
export function listLogFiles(folder: string): LogFile[] {
  const files = fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && NAME.test(entry.name))
    .map((entry) => describeFile(folder, entry.name))
    .sort((a, b) => a.startOffset - b.startOffset);
  if (files.at(-1)?.sizeBytes === 0) files.pop();
  const size = files[0]?.sizeBytes ?? 0;
  const odd = files.find((file) => file.sizeBytes !== size || file.startOffset % size !== 0);
  if (odd) {
    throw new DrError('CORRUPT', `${odd.path}: ${odd.sizeBytes} bytes, the first has ${size}`, {
      context: { file: odd.path },
    });
  }
  return files;
}

function describeFile(folder: string, name: string): LogFile {
  const full = path.join(folder, name);
  const stat = fs.statSync(full);
  const mtimeMs = Math.floor(stat.mtimeMs);
  return { name, path: full, startOffset: Number(name), sizeBytes: stat.size, mtimeMs };
}

/** Stretches missing between consecutive files. */
export function findGaps(files: readonly { startOffset: number; sizeBytes: number }[]): Gap[] {
  const gaps: Gap[] = [];
  for (let i = 1; i < files.length; i++) {
    const before = files[i - 1];
    const file = files[i];
    if (!before || !file) continue;
    const from = before.startOffset + before.sizeBytes;
    if (from !== file.startOffset) gaps.push({ from, to: file.startOffset });
  }
  return gaps;
}
