// A claim on one name, for file systems where create-if-absent by hard link is impossible: whoever creates
// the claim file exclusively may look whether the name is free and rename onto it; all others wait.
// Invariant: the object itself still appears whole, by a rename. A claim of a dead process of this machine
// is taken over; one of another machine ends by age, because its holder needs it for a moment only.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { DrError } from '../../core-broker/base/index.ts';

const STALE_MS = 10 * 60_000;

/** @throws DrError BUSY while another writer holds the claim */
export async function withClaim<T>(
  folder: string,
  target: string,
  action: () => Promise<T>,
): Promise<T> {
  const name = createHash('sha256').update(target).digest('hex').slice(0, 32);
  const claim = path.join(folder, `${name}.claim`);
  take(claim);
  try {
    return await action();
  } finally {
    fs.rmSync(claim, { force: true });
  }
}

function take(claim: string): void {
  const mine = `${os.hostname()}~${process.pid}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      fs.writeFileSync(claim, mine, { flag: 'wx' });
      return;
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'EEXIST') throw reason;
      if (!removeStale(claim)) break;
    }
  }
  throw new DrError('BUSY', `${claim}: another writer is at this object`);
}

/** True when the claim is gone. Moved aside first, so that of two who remove it one does. */
function removeStale(claim: string): boolean {
  try {
    const [host, pid] = fs.readFileSync(claim, 'utf8').split('~');
    const ageMs = Date.now() - fs.statSync(claim).mtimeMs;
    const isDead = host === os.hostname() && !isAlive(Number(pid));
    if (!isDead && ageMs < STALE_MS) return false;
    const aside = `${claim}.${process.pid}`;
    fs.renameSync(claim, aside);
    fs.rmSync(aside);
  } catch (reason) {
    // Expected: its holder, or another who waits, removed it meanwhile.
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') throw reason;
  }
  return true;
}

/** True when a process of this machine has this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (reason) {
    // EPERM means it exists and belongs to somebody else.
    return (reason as NodeJS.ErrnoException).code === 'EPERM';
  }
}
