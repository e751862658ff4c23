// Keeps a prune from deleting segments that a running backup has stored but not yet named.
// Each side writes its mark first and looks for the other's mark second, so at least one of two that
// start together sees the other and gives way. Marks of killed processes: same machine, dead pid.
// Marks of other machines end by age: a run refreshes its mark every minute.
import * as os from 'node:os';
import { DrError } from '../../core-broker/base/index.ts';
import { isAlive, type ObjectStore } from '../object-store/index.ts';

const RUNS = 'runs/';
const PRUNE_KEY = 'prune.json';
const REFRESH_MS = 60_000;
const STALE_MS = 60 * 60_000;

interface Mark {
  host: string;
  pid: number;
  refreshedMs: number;
}

export interface WorkMark {
  release(): Promise<void>;
}

/** Marks a run. @throws DrError LOCKED while a prune is at work */
export async function markRun(store: ObjectStore, runId: string): Promise<WorkMark> {
  const key = `${RUNS}${runId}.json`;
  const write = () => store.put(key, encodeMark(), { ifAbsent: false });
  await write();
  if (await isHeld(store, PRUNE_KEY)) {
    await store.delete([key]);
    throw new DrError('LOCKED', `${store.where}: a prune is at work`, { hint: 'try again later' });
  }
  const timer = setInterval(() => {
    // A refresh that fails only lets the mark age; the next one or the run itself reports the target.
    write().catch((reason: unknown) => DrError.from(reason));
  }, REFRESH_MS);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      await store.delete([key]);
    },
  };
}

/** Marks a prune. @throws DrError LOCKED while a backup or another prune is at work */
export async function markPrune(store: ObjectStore): Promise<WorkMark> {
  if (await isHeld(store, PRUNE_KEY)) throw busy(store, 'another prune is at work');
  await store.delete([PRUNE_KEY]);
  if ((await store.put(PRUNE_KEY, encodeMark(), { ifAbsent: true })) === 'exists') {
    throw busy(store, 'another prune is at work');
  }
  const release = () => store.delete([PRUNE_KEY]);
  for (const info of await store.list(RUNS)) {
    if (!(await isHeld(store, info.key))) {
      await store.delete([info.key]);
      continue;
    }
    await release();
    throw busy(store, `backup ${info.key.slice(RUNS.length)} is running`);
  }
  return { release };
}

const busy = (store: ObjectStore, why: string): DrError =>
  new DrError('LOCKED', `${store.where}: ${why}`, { hint: 'try again when it has ended' });

function encodeMark(): Buffer {
  const mark: Mark = { host: os.hostname(), pid: process.pid, refreshedMs: Date.now() };
  return Buffer.from(JSON.stringify(mark));
}

async function isHeld(store: ObjectStore, key: string): Promise<boolean> {
  let mark: Mark;
  try {
    mark = JSON.parse((await store.get(key)).toString()) as Mark;
  } catch (reason) {
    if (DrError.is(reason, 'NOT_FOUND')) return false;
    throw reason;
  }
  if (mark.host === os.hostname()) return isAlive(mark.pid);
  return Date.now() - mark.refreshedMs < STALE_MS;
}
