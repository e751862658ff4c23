// Rates over the last 10, 60 and 600 seconds, as the runtime figures of a broker give them: running totals
// are noted once a second, a rate is the difference over as many seconds as there are, at most its own.
// Source: StoreStatsService of RocketMQ, behaviour only; it leaves a rate out until its time has passed.

/** Running totals of a broker. */
export interface Totals {
  putTotal: number;
  /** Pulls that found messages. */
  getFoundTimes: number;
  /** Pulls that found none. */
  getMissTotal: number;
  getTotal: number;
}

const SECONDS = [10, 60, 600] as const;
const KEPT = 601;
const NAMES = ['putTotal', 'getFoundTimes', 'getMissTotal', 'getTotal'] as const;

interface Note extends Totals {
  atMs: number;
}

export class Throughput {
  /** A ring: one note per second. */
  readonly #notes: Note[] = [];
  #next = 0;

  note(totals: Totals, nowMs: number): void {
    const { putTotal, getFoundTimes, getMissTotal, getTotal } = totals;
    this.#notes[this.#next] = { atMs: nowMs, putTotal, getFoundTimes, getMissTotal, getTotal };
    this.#next = (this.#next + 1) % KEPT;
  }

  /** Per second over the last `seconds`. */
  perSecond(name: keyof Totals, seconds: number): number {
    const last = this.#back(0);
    const first = this.#back(Math.min(seconds, this.#notes.length - 1));
    if (first === undefined || last === undefined || first === last) return 0;
    return ((last[name] - first[name]) * 1_000) / Math.max(last.atMs - first.atMs, 1);
  }

  /** Three rates with blanks between them, the form every tool splits. */
  text(...names: (typeof NAMES)[number][]): string {
    return SECONDS.map((seconds) =>
      javaDouble(names.reduce((sum, name) => sum + this.perSecond(name, seconds), 0)),
    ).join(' ');
  }

  #back(count: number): Note | undefined {
    return this.#notes[(this.#next - 1 - count + 2 * KEPT) % KEPT];
  }
}

/** Java prints whole doubles with a fraction. */
const javaDouble = (value: number): string =>
  Number.isInteger(value) ? value.toFixed(1) : String(value);
