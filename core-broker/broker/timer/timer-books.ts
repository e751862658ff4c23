// The timer files of a store, and what of them may be believed when this side begins to deliver.
// The log is the truth; the files only say how far it was worked off. Three degrees of trust:
//   whole  written by this epoch, or by Apache: wheel and chains are used as they stand
//   times  wheel missing or damaged, or a standby copied the times from its source: the wheel is built
//          again from the timer queue, and what lies before both times is known to be delivered
//   none   nobody says what was delivered: every due message is looked up in the log before it goes out
// Invariant: believing too little costs time, never a message and, with the index on, no duplicate.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type Clock, createLog, DrError } from '../../base/index.ts';
import { decodeRecord, TIMER_TOPIC } from '../../protocol/index.ts';
import type { EpochState, MessageStore } from '../../store/index.ts';
import {
  readCheckpoint,
  type SavedCheckpoint,
  TimerLog,
  TimerMetrics,
  type TimerUnit,
  TimerWheel,
  UNIT_BYTES,
  UnitMagic,
  WHEEL_SLOTS,
} from './files/index.ts';

const log = createLog('broker');

export const TIMER_QUEUE = { topic: TIMER_TOPIC, queueId: 0 } as const;

export interface BookOptions {
  rootDir: string;
  store: MessageStore;
  clock: Clock;
  precisionMs: number;
  fileBytes: number;
}

export type Trust = 'whole' | 'times' | 'none';

/** Where delivery begins. */
export interface TimerStart {
  trust: Trust;
  /** Slots before it are delivered, as far as queue offsets before `sureQueueOffset` go. */
  readTimeMs: number;
  sureQueueOffset: number;
  /** Next record of the timer queue to read. */
  queueOffset: number;
  /** Records before it may have been delivered in a time nobody wrote down. */
  doubtQueueEnd: number;
  /** No delivery of that time was due later than this. */
  doubtUntilMs: number;
}

export class TimerBooks {
  readonly wheel: TimerWheel;
  readonly log: TimerLog;
  readonly metrics: TimerMetrics;
  readonly checkpointFile: string;
  readonly #options: BookOptions;

  constructor(options: BookOptions) {
    const { rootDir, precisionMs, fileBytes, clock } = options;
    this.#options = options;
    this.wheel = new TimerWheel(path.join(rootDir, 'timerwheel'), precisionMs);
    this.log = new TimerLog(path.join(rootDir, 'timerlog'), fileBytes);
    this.metrics = new TimerMetrics(path.join(rootDir, 'config', 'timermetrics'), clock);
    this.checkpointFile = checkpointFile(rootDir);
  }

  /**
   * Reads the files, or drops wheel and chains when they cannot be used.
   * @param isDamaged  known from outside: nothing but the times is believed
   */
  open(isDamaged: boolean): TimerStart {
    const { store, clock, precisionMs } = this.#options;
    const saved = readCheckpoint(this.checkpointFile);
    const trust = this.#trust(saved, store.guard.state);
    const used = trust === 'whole' && saved && !isDamaged ? this.#load(saved) : undefined;
    const bounds = store.bounds(TIMER_QUEUE) ?? { min: 0, max: 0 };
    if (used === undefined) this.#drop();
    const oldest = floorTo(clock.nowMs(), precisionMs) - WHEEL_SLOTS * precisionMs;
    const isKnown = trust !== 'none' && saved !== undefined && saved.queueOffset <= bounds.max;
    const start: TimerStart = {
      trust: used === undefined ? (isKnown ? 'times' : 'none') : 'whole',
      readTimeMs: isKnown ? floorTo(saved.readTimeMs, precisionMs) : oldest,
      sureQueueOffset: isKnown ? saved.queueOffset : 0,
      queueOffset: Math.max(used ?? 0, bounds.min),
      doubtQueueEnd: bounds.max,
      doubtUntilMs: lastStoreTime(store),
    };
    if (bounds.max > bounds.min) log.info('timer.opened', 'timer messages go on', { ...start });
    return start;
  }

  close(): void {
    this.wheel.close();
    this.log.close();
  }

  #trust(saved: SavedCheckpoint | undefined, state: EpochState): Trust {
    if (saved === undefined) return 'none';
    if (saved.mirroredIn !== undefined) {
      return isPreviousEpoch(state, saved.mirroredIn) ? 'times' : 'none';
    }
    const isOurs = saved.stateVersion === state.epoch;
    const isStock = saved.stateVersion === 0 && isFirstEpoch(state);
    return isOurs || isStock ? 'whole' : 'none';
  }

  /** @returns the queue offset to go on at, undefined when the files cannot be used */
  #load(saved: SavedCheckpoint): number | undefined {
    try {
      const wheel = path.join(this.#options.rootDir, 'timerwheel');
      if (saved.flushedPos > 0 && !fs.existsSync(wheel)) throw damaged('there is no wheel');
      this.wheel.load(saved.readTimeMs);
      this.log.load();
      this.metrics.load();
      const last = this.#replay(saved.flushedPos);
      const known = last === undefined ? 0 : this.#queueOffsetOf(last) + 1;
      const next = Math.max(saved.queueOffset, known);
      const max = this.#options.store.bounds(TIMER_QUEUE)?.max ?? 0;
      if (next > max) throw damaged(`they are at ${next}, the timer queue ends at ${max}`);
      return next;
    } catch (reason) {
      const error = DrError.from(reason).message;
      log.warn('timer.rebuilt', 'timer files cannot be used; built again from the log', { error });
      return undefined;
    }
  }

  /** Entries behind the last checkpoint are put into the wheel. @returns the last entry of all */
  #replay(from: number): TimerUnit | undefined {
    let last = from > 0 ? this.#unitBefore(from) : undefined;
    let at = from;
    for (;;) {
      const unit = this.log.read(at);
      if (unit === undefined) break;
      if (unit !== 'blank') {
        if (unit.previous >= at) break;
        const slot = this.wheel.get(unit.slotMs);
        const change = (unit.magic & UnitMagic.DELETE) !== 0 ? -1 : 1;
        if (slot === undefined || slot.lastPos < at) this.wheel.put(unit.slotMs, at, change);
        last = unit;
      }
      at = this.log.after(at, unit === 'blank');
    }
    this.log.continueAt(at);
    return last;
  }

  #unitBefore(end: number): TimerUnit | undefined {
    if (!this.log.covers(end - 1)) throw damaged(`no timer log before ${end}`);
    // Where a file has just begun a blank stands before: the checkpoint's own offset is used then.
    if (end % this.#options.fileBytes === 0) return undefined;
    const unit = this.log.read(end - UNIT_BYTES);
    if (typeof unit === 'object') return unit;
    throw damaged(`no timer log entry before ${end}`);
  }

  /** @throws DrError CORRUPT when the log has no such record: it was cut, or belongs to another store */
  #queueOffsetOf(unit: TimerUnit): number {
    const record = decodeRecord(this.#options.store.readRecord(unit.physicalOffset));
    if (record.topic !== TIMER_TOPIC || record.sizeBytes !== unit.sizeBytes) {
      throw damaged(`no timer message at ${unit.physicalOffset}`);
    }
    return record.queueOffset;
  }

  #drop(): void {
    this.wheel.reset();
    this.log.reset();
    this.metrics.reset();
  }
}

const damaged = (what: string): DrError => new DrError('CORRUPT', `timer files: ${what}`);

export const checkpointFile = (rootDir: string): string =>
  path.join(rootDir, 'config', 'timercheck');

export const floorTo = (ms: number, precisionMs: number): number =>
  Math.floor(ms / precisionMs) * precisionMs;

/** A store that was a stock broker's until now, or a plain one: Apache writes version 0. */
const isFirstEpoch = ({ epoch, lineage }: EpochState): boolean =>
  epoch === 0 || (epoch === 1 && lineage.every((entry) => entry.epoch === 1));

/** The standby that copied the times is the one that was promoted, with nothing in between. */
function isPreviousEpoch({ epoch, lineage }: EpochState, mirroredIn: number): boolean {
  const before = lineage.filter((entry) => entry.epoch < epoch).at(-1);
  return mirroredIn === epoch || mirroredIn === (before?.epoch ?? epoch - 1);
}

/** Store time of the last message there is, 0 when there is none. */
export function lastStoreTime(store: MessageStore): number {
  const offset = store.lastRecordOffset();
  return offset < 0 ? 0 : decodeRecord(store.readRecord(offset)).storeTimestampMs;
}
