// Pins the log files of a live store while they are copied, so that retention may delete them meanwhile.
// Hard links beside the log (no byte is copied); where links are impossible, open descriptors; where
// those have no path, in place. A killed run leaves its folder behind: the next run removes it, because
// its links would keep deleted files on the disk.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isAlive } from '../object-store/index.ts';

const FOLDER = 'drSnapshot';

export interface PinnedFiles {
  /** Where to read a log file from. */
  pathOf(name: string): string;
  how: 'link' | 'descriptor' | 'in-place';
  release(): void;
}

/** Pins `names` of `folder`; the work folder is made in `rootDir`. */
export function pinFiles(rootDir: string, folder: string, names: readonly string[]): PinnedFiles {
  removeLeftovers(rootDir);
  const work = path.join(rootDir, FOLDER, String(process.pid));
  try {
    return pinByLinks(work, folder, names);
  } catch (reason) {
    const code = (reason as NodeJS.ErrnoException).code ?? '';
    // Expected: another file system, a read-only mount, or a file system without links.
    if (!['EXDEV', 'EPERM', 'EACCES', 'EROFS', 'ENOTSUP', 'EMLINK'].includes(code)) throw reason;
    removeWork(work);
  }
  return fs.existsSync('/proc/self/fd') ? pinByDescriptors(folder, names) : inPlace(folder);
}

function pinByLinks(work: string, folder: string, names: readonly string[]): PinnedFiles {
  fs.rmSync(work, { recursive: true, force: true });
  fs.mkdirSync(work, { recursive: true });
  for (const name of names) fs.linkSync(path.join(folder, name), path.join(work, name));
  return {
    pathOf: (name) => path.join(work, name),
    how: 'link',
    release: () => removeWork(work),
  };
}

/** An open descriptor keeps a deleted file readable; worker threads share the process' descriptors. */
function pinByDescriptors(folder: string, names: readonly string[]): PinnedFiles {
  const open = new Map(names.map((name) => [name, fs.openSync(path.join(folder, name), 'r')]));
  return {
    pathOf: (name) => `/proc/self/fd/${open.get(name) ?? -1}`,
    how: 'descriptor',
    release: () => {
      for (const fd of open.values()) fs.closeSync(fd);
      open.clear();
    },
  };
}

/** Reads where the files are: one deleted meanwhile fails the run, and nothing is lost in silence. */
const inPlace = (folder: string): PinnedFiles => ({
  pathOf: (name) => path.join(folder, name),
  how: 'in-place',
  release: () => undefined,
});

function removeWork(work: string): void {
  fs.rmSync(work, { recursive: true, force: true });
  const parent = path.dirname(work);
  if (fs.existsSync(parent) && fs.readdirSync(parent).length === 0) fs.rmdirSync(parent);
}

function removeLeftovers(rootDir: string): void {
  const parent = path.join(rootDir, FOLDER);
  if (!fs.existsSync(parent)) return;
  for (const name of fs.readdirSync(parent)) {
    if (!isAlive(Number(name))) removeWork(path.join(parent, name));
  }
}
