// The folder `restoring/` inside the target: everything is built there and moved into place at the end,
// so that no broker can boot from half a store. Holds its own progress, so that a killed restore goes on.
// Layout: restoring/plan.json (what is restored), restoring/done (one line per durable segment),
// restoring/store/** (the store being built). The phase is in plan.json before its first action:
// filling -> cutting (a cut store cannot be filled further: begin again) -> placing (only move on).
// plan.json goes last: who finds none beside a store finds a whole one.
// Invariant: a line in `done` is written only after its bytes were fdatasynced.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  DrError,
  fsyncFolderSync,
  makeFolder,
  readTextIfExists,
  writeAtomicSync,
} from '../../core-broker/base/index.ts';
import { isAlive } from '../object-store/index.ts';
import type { RestoreCut } from './plan.ts';

export const STAGING = 'restoring';
const PLAN = 'plan.json';
/** Moved in this order: the log comes last, because with it the folder is a store. */
const PLACING_ORDER = ['configuration', 'config', 'consumequeue', 'abort', 'commitlog'];

interface StagingState {
  backupId: string;
  storeId: string;
  cut: RestoreCut | null;
  phase: 'filling' | 'cutting' | 'placing';
  startedMs: number;
  pid: number;
  /** What the restore answered, once it is placing. */
  result?: unknown;
}

export class Staging {
  readonly target: string;
  /** Where the store is built. */
  readonly storeDir: string;
  readonly #folder: string;
  readonly #done: Set<string>;
  readonly #state: StagingState;
  readonly isResumed: boolean;

  private constructor(target: string, state: StagingState, isResumed: boolean) {
    this.target = target;
    this.#folder = path.join(target, STAGING);
    this.storeDir = path.join(this.#folder, 'store');
    this.#state = state;
    this.isResumed = isResumed;
    const lines = readTextIfExists(path.join(this.#folder, 'done'))?.split('\n') ?? [];
    // The last piece is empty, or a line torn by a crash.
    this.#done = new Set(lines.slice(0, -1));
  }

  /**
   * Begins or resumes. @throws DrError REFUSED when the target holds anything else; LOCKED when another
   * process restores there
   */
  static open(target: string, wanted: Omit<StagingState, 'phase' | 'startedMs' | 'pid'>): Staging {
    makeFolder(target);
    const folder = path.join(target, STAGING);
    const text = readTextIfExists(path.join(folder, PLAN));
    const known = text === undefined ? undefined : (JSON.parse(text) as StagingState);
    if (!known) refuseOccupied(target);
    if (known) refuseOther(target, known, wanted);
    const fresh = { ...wanted, phase: 'filling' as const, startedMs: Date.now() };
    const isCutShort = known?.phase === 'cutting';
    if (isCutShort) fs.rmSync(folder, { recursive: true });
    const state = { ...(isCutShort ? fresh : (known ?? fresh)), pid: process.pid };
    fs.mkdirSync(path.join(folder, 'store'), { recursive: true });
    writeAtomicSync(path.join(folder, PLAN), JSON.stringify(state));
    fsyncFolderSync(target);
    return new Staging(target, state, known !== undefined);
  }

  isDone(mark: string): boolean {
    return this.#done.has(mark);
  }

  /** Remembers a segment whose bytes are on disk. */
  markDone(mark: string): void {
    fs.appendFileSync(path.join(this.#folder, 'done'), `${mark}\n`, { flush: true });
    this.#done.add(mark);
  }

  /** The answer of a restore that was killed while placing; only place() is left to do. */
  get placingResult(): unknown {
    return this.#state.phase === 'placing' ? this.#state.result : undefined;
  }

  /** Before files are cut: marks in `done` are worth nothing from here on. */
  beginCut(): void {
    if (this.#state.cut !== null) this.#enter('cutting');
  }

  beginPlacing(result: unknown): void {
    this.#state.result = result;
    this.#enter('placing');
  }

  /** Moves everything into place and removes the folder. Safe to repeat after a crash. */
  place(): void {
    for (const name of PLACING_ORDER) {
      const from = path.join(this.storeDir, name);
      if (!fs.existsSync(from)) continue;
      fs.renameSync(from, path.join(this.target, name));
      fsyncFolderSync(this.target);
    }
    for (const name of ['store', 'done', PLAN]) {
      fs.rmSync(path.join(this.#folder, name), { recursive: true, force: true });
    }
    fs.rmSync(this.#folder, { recursive: true });
    fsyncFolderSync(this.target);
  }

  #enter(phase: StagingState['phase']): void {
    this.#state.phase = phase;
    writeAtomicSync(path.join(this.#folder, PLAN), JSON.stringify(this.#state));
  }
}

function refuseOccupied(target: string): void {
  const names = fs.readdirSync(target).filter((name) => name !== STAGING);
  const staged = path.join(target, STAGING);
  const leftovers = fs.existsSync(staged) ? fs.readdirSync(staged) : [];
  if (names.length === 0 && leftovers.every((name) => name.startsWith(PLAN))) return;
  throw new DrError('REFUSED', `${target}: not empty (${names[0] ?? STAGING})`, {
    hint: 'restore into an empty folder; an existing store is never overwritten',
  });
}

function refuseOther(
  target: string,
  known: StagingState,
  wanted: Pick<StagingState, 'backupId' | 'storeId' | 'cut'>,
): void {
  const isSame =
    known.backupId === wanted.backupId &&
    known.storeId === wanted.storeId &&
    JSON.stringify(known.cut) === JSON.stringify(wanted.cut);
  if (!isSame) {
    throw new DrError('REFUSED', `${target}: an unfinished restore of ${known.backupId}`, {
      hint: 'finish it with the same options, or empty the folder',
    });
  }
  if (known.pid !== process.pid && isAlive(known.pid)) {
    throw new DrError('LOCKED', `${target}: process ${known.pid} restores here`);
  }
}
