// A lock between processes of one machine: a folder whose creation is atomic, with the owner's pid inside.
// A lock whose owner is dead is taken over. Only for building peers; nothing of the product uses it.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 200;
/** A lock without a pid this old belongs to a process that died between the two writes. */
const NAMELESS_MS_MAX = 10_000;

/** Runs `work` while no other process holds the lock of `name`. */
export async function underLock<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const folder = `${name}.lock`;
  while (!take(folder)) {
    if (isStale(folder)) fs.rmSync(folder, { recursive: true, force: true });
    else await delay(POLL_MS);
  }
  try {
    return await work();
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function take(folder: string): boolean {
  try {
    fs.mkdirSync(folder);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw reason;
  }
  fs.writeFileSync(path.join(folder, 'pid'), String(process.pid));
  return true;
}

function isStale(folder: string): boolean {
  const file = path.join(folder, 'pid');
  try {
    const pid = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0;
    if (pid === 0) return Date.now() - fs.statSync(folder).mtimeMs > NAMELESS_MS_MAX;
    process.kill(pid, 0);
    return false;
  } catch (reason) {
    // ESRCH: the owner is dead. ENOENT: it has just let go, the next try takes it.
    return (reason as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
