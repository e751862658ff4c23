// One whole run for a test: a fresh program, warm-up, the frames, and what was left behind: heap that
// stayed and files with names no program of ours makes.
import * as fs from 'node:fs';
import * as v8 from 'node:v8';
import * as vm from 'node:vm';
import { corpusFor, type WorldKind } from './corpus.ts';
import { fuzz } from './run.ts';
import { openWorld } from './world.ts';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

/**
 * Heap in use when collections free no more, MB.
 * Why several: what finalizers and the event loop hold is freed only by the collection after them.
 */
export async function heapMb(): Promise<number> {
  for (let least = Number.POSITIVE_INFINITY; ; ) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    const { heapUsed, external } = process.memoryUsage();
    const now = (heapUsed + external) / 1024 / 1024;
    if (now > least - 0.5) return Math.min(now, least);
    least = now;
  }
}

/** Requests that write a file each time they succeed: they get runs with fewer cases. */
export const WRITERS: ReadonlySet<number> = new Set([
  17, 18, 25, 100, 102, 200, 207, 215, 225, 318,
]);
const NONE: ReadonlySet<number> = new Set();

export interface Play {
  kind: WorldKind;
  seed: number;
  cases: number;
  /** With the requests that write files. */
  isWriting: boolean;
}

export async function playFrames({ kind, seed, cases, isWriting }: Play) {
  const world = await openWorld(kind);
  try {
    const corpus = corpusFor(kind, isWriting ? NONE : WRITERS, world.served);
    const canary = { code: kind === 'nameserver' ? 106 : 28 };
    const common = { world, corpus, seed, canary };
    const warm = Math.floor(Math.min(20_000, cases / 4));
    const found = await fuzz({ ...common, cases: warm });
    const before = await heapMb();
    found.push(...(await fuzz({ ...common, from: warm, cases: cases - warm })));
    return { found, grownMb: (await heapMb()) - before, strange: strangeNames(world.folder) };
  } finally {
    await world.close();
  }
}

function strangeNames(folder: string): string[] {
  const all = fs.readdirSync(folder, { recursive: true }).map(String);
  return all.filter((name) => !/^[\w%|.\-/]+$/.test(name));
}
