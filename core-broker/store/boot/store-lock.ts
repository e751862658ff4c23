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
  const holder = lockHolder(fs.readFileSync('/proc/locks', 'utf8'), fs.statSync(layout.drLock).ino);
  return holder === undefined ? 'another process' : `process ${holder}`;
}

/** A Java broker holds an fcntl lock on byte 0 of `lock`; the kernel lists it by inode. */
function refuseStockBroker(layout: StoreLayout): void {
  if (!fs.existsSync(layout.lock) || !fs.existsSync('/proc/locks')) return;
  const { ino } = fs.statSync(layout.lock);
  const holder = lockHolder(fs.readFileSync('/proc/locks', 'utf8'), ino);
  if (holder !== undefined) throw locked(layout, `a stock broker (process ${holder})`);
}

/** Process id of a write lock on an inode: `1: POSIX ADVISORY WRITE <pid> <maj:min:inode> ...`. */
export function lockHolder(table: string, inode: number): string | undefined {
  for (const line of table.split('\n')) {
    const [, , , mode, pid, where] = line.trim().split(/\s+/);
    if (mode === 'WRITE' && where?.split(':')[2] === String(inode)) return pid;
  }
  return undefined;
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
    const holder = lockHolder(table, fs.statSync(file).ino);
    if (holder !== undefined) return holder;
  }
  return undefined;
}
