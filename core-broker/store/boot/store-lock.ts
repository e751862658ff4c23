// One process per store directory. The kernel lock is SQLite's: an exclusive transaction on the empty
// side file `drLock`, a POSIX lock that ends with the process, kill -9 included, and that SQLite also
// keeps apart inside one process. Node itself offers no fcntl lock.
// Apache's `lock` file is written for the layout; a stock broker that holds it is found in /proc/locks.
import * as fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { DrError } from '../../base/index.ts';
import type { StoreLayout } from '../layout.ts';

const SQLITE_BUSY = 5;

export class StoreLock {
  readonly #holder: DatabaseSync;

  private constructor(holder: DatabaseSync) {
    this.#holder = holder;
  }

  /** @throws DrError LOCKED when another process, ours or a stock broker, has the store open */
  static take(layout: StoreLayout): StoreLock {
    const holder = new DatabaseSync(layout.drLock);
    try {
      holder.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
      refuseStockBroker(layout);
      if (!fs.existsSync(layout.lock)) fs.writeFileSync(layout.lock, 'lock');
    } catch (reason) {
      holder.close();
      if ((reason as { errcode?: number }).errcode !== SQLITE_BUSY) throw reason;
      throw locked(layout, ownHolder(layout));
    }
    return new StoreLock(holder);
  }

  release(): void {
    this.#holder.close();
  }
}

/** The kernel knows who it is; elsewhere than on Linux nobody says. */
function ownHolder(layout: StoreLayout): string {
  if (!fs.existsSync('/proc/locks')) return 'another process';
  const holder = lockHolder(fs.readFileSync('/proc/locks', 'utf8'), placeOf(layout.drLock));
  return holder === undefined ? 'another process' : `process ${holder}`;
}

/** A Java broker holds an fcntl lock on byte 0 of `lock`; the kernel lists it by device and inode. */
function refuseStockBroker(layout: StoreLayout): void {
  if (!fs.existsSync(layout.lock) || !fs.existsSync('/proc/locks')) return;
  const holder = lockHolder(fs.readFileSync('/proc/locks', 'utf8'), placeOf(layout.lock));
  if (holder !== undefined) throw locked(layout, `a stock broker (process ${holder})`);
}

/** Device and inode of a file. */
export interface FilePlace {
  dev: bigint;
  ino: bigint;
}

const placeOf = (file: string): FilePlace => fs.statSync(file, { bigint: true });

/**
 * Process id of a write lock on a file: `1: POSIX ADVISORY WRITE <pid> <maj:min:inode> ...`.
 * Another file may have the same inode on another disk, so the device counts, too. The table names the
 * disk, and on btrfs or an overlay a file has a device of its own: there the process's open files decide.
 * Invariant: who cannot be asked counts as the holder.
 */
export function lockHolder(
  table: string,
  file: FilePlace,
  holdsOpen = hasOpen,
): string | undefined {
  for (const line of table.split('\n')) {
    const [, , , mode, pid, where] = line.trim().split(/\s+/);
    const [major, minor, inode] = where?.split(':') ?? [];
    if (mode !== 'WRITE' || pid === undefined || inode !== String(file.ino)) continue;
    if (`${major}:${minor}` === deviceText(file.dev) || holdsOpen(pid, file)) return pid;
  }
  return undefined;
}

/** As the kernel prints it; source: gnu_dev_major, gnu_dev_minor. */
function deviceText(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffff_ffffn);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}

/** False only when every open file of the process could be looked at and none is this one. */
function hasOpen(pid: string, file: FilePlace): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return fs.readdirSync(folder).some((fd) => {
      const open = fs.statSync(`${folder}/${fd}`, { bigint: true, throwIfNoEntry: false });
      return open !== undefined && open.dev === file.dev && open.ino === file.ino;
    });
  } catch {
    // Another user's process, or one that ended or that this container cannot see.
    return true;
  }
}

function locked(layout: StoreLayout, who: string): DrError {
  return new DrError('LOCKED', `${layout.root} is in use by ${who}`, {
    hint: 'one process per store; stop the other one first',
    context: { store: layout.root },
  });
}

/** Process that has a store open, ours or a stock broker; nothing is touched. Linux only. */
export function storeHolder(layout: StoreLayout): string | undefined {
  if (!fs.existsSync('/proc/locks')) return undefined;
  const table = fs.readFileSync('/proc/locks', 'utf8');
  for (const file of [layout.drLock, layout.lock].filter((name) => fs.existsSync(name))) {
    const holder = lockHolder(table, placeOf(file));
    if (holder !== undefined) return holder;
  }
  return undefined;
}
