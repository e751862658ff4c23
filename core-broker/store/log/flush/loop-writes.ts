// Whether a write of ASYNC_FLUSH may be waited for on the loop. That is cheapest while the system only copies into
// its page cache: a write by the thread pool wakes a thread, leaves the cache and wakes the loop again. A system
// that has too many dirty pages holds writers back until the disk has caught up; then the loop must not wait.
// Idea: the next write is what the last one was. A slow one sends those behind it to the pool for twenty times as
// long as it took, so waiting for a disk takes at most about a twentieth of the loop's time.
import { type Clock, systemClock } from '../../../base/index.ts';

/** Some 0.3 ms of copying; larger ones go to the pool. */
const BYTES_MAX = 512 * 1024;
const SLOW_MS = 5;
const POOL_TIMES = 20;

export class LoopWrites {
  readonly #clock: Clock;
  #poolUntilMs = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  mayWait(bytes: number): boolean {
    return bytes <= BYTES_MAX && this.#clock.monotonicMs() >= this.#poolUntilMs;
  }

  /** Runs a write on the loop and remembers how long it took. */
  run(write: () => void): void {
    const startMs = this.#clock.monotonicMs();
    write();
    const nowMs = this.#clock.monotonicMs();
    const tookMs = nowMs - startMs;
    if (tookMs > SLOW_MS) this.#poolUntilMs = nowMs + POOL_TIMES * tookMs;
  }
}
