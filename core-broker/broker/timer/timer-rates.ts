// Messages per second into and out of the wheel, over the time since the last look but one second at
// least; and whether anything happened since the last save.
import type { Clock } from '../../base/index.ts';
import type { TimerCounts } from './timer-engine.ts';

const WINDOW_MS = 1_000;

export class TimerRates {
  readonly #clock: Clock;
  #sinceMs: number;
  #base: TimerCounts = { enqueued: 0, dequeued: 0 };
  #rates = { enqueueTps: 0, dequeueTps: 0 };
  #noted: TimerCounts = { enqueued: 0, dequeued: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  perSecond(counts: TimerCounts): { enqueueTps: number; dequeueTps: number } {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < WINDOW_MS) return this.#rates;
    const rate = (now: number, before: number): number =>
      Math.max(0, Math.round(((now - before) * 10_000) / elapsedMs) / 10);
    this.#rates = {
      enqueueTps: rate(counts.enqueued, this.#base.enqueued),
      dequeueTps: rate(counts.dequeued, this.#base.dequeued),
    };
    this.#base = { ...counts };
    this.#sinceMs = nowMs;
    return this.#rates;
  }

  isNew({ enqueued, dequeued }: TimerCounts): boolean {
    return enqueued !== this.#noted.enqueued || dequeued !== this.#noted.dequeued;
  }

  noted(counts: TimerCounts): void {
    this.#noted = { ...counts };
  }
}
