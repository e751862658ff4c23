// One slot that is due: its chain is read backwards from the last entry, then handed out in the order
// in which the messages were put, those that delete others first. All in bounded steps, so that a
// hundred thousand messages of one second never hold the loop.
import { DrError } from '../../base/index.ts';
import type { TimerLog } from './files/index.ts';
import { type TimerUnit, UnitMagic } from './files/index.ts';

const UNITS_PER_STEP = 4_096;

export const isDelete = ({ magic }: TimerUnit): boolean =>
  (magic & UnitMagic.DELETE) !== 0 && (magic & UnitMagic.ROLL) === 0;
export const isRoll = ({ magic }: TimerUnit): boolean => (magic & UnitMagic.ROLL) !== 0;

export class SlotJob {
  readonly timeMs: number;
  readonly #log: TimerLog;
  readonly #deletes: TimerUnit[] = [];
  readonly #messages: TimerUnit[] = [];
  #next: number;
  /** Keys of messages that are dropped from this slot -> real topic, for the figures. */
  readonly deleteKeys = new Map<string, string>();
  /** Those of them that dropped something. */
  readonly usedKeys = new Set<string>();

  constructor(timerLog: TimerLog, timeMs: number, lastPos: number) {
    this.#log = timerLog;
    this.timeMs = timeMs;
    this.#next = lastPos;
  }

  /** Reads on. @returns true when the whole chain is read @throws DrError CORRUPT */
  load(): boolean {
    for (let n = 0; this.#next >= 0 && n < UNITS_PER_STEP; n++) {
      // Below the first file the records are gone from the commit log, too.
      if (this.#next < this.#log.start) this.#next = -1;
      else this.#next = this.#take(this.#log.read(this.#next));
    }
    return this.#next < 0;
  }

  #take(unit: TimerUnit | 'blank' | undefined): number {
    if (typeof unit !== 'object' || unit.slotMs !== this.timeMs || unit.previous >= this.#next) {
      throw new DrError('CORRUPT', `timer log: no entry of slot ${this.timeMs} at ${this.#next}`);
    }
    (isDelete(unit) ? this.#deletes : this.#messages).push(unit);
    return unit.previous;
  }

  /** Messages not yet handed out. */
  get left(): number {
    return this.#messages.length;
  }

  /** The next one, deletes first; it stays until done() is called. */
  get current(): TimerUnit | undefined {
    return this.#deletes.at(-1) ?? this.#messages.at(-1);
  }

  done(): void {
    if (this.#deletes.length > 0) this.#deletes.pop();
    else this.#messages.pop();
  }
}
