// Who waits until the log may be acknowledged up to an offset. Told once per flush, in order.
// Invariant: nobody is told of an end that was not reached; a failed store rejects, it never resolves.
import { type CommitLogOffset, commitLogOffset, DrError } from '../../../base/index.ts';
import type { LogState } from '../log-state.ts';

const NOT_STORED = 'the disk of the commit log had no room; nothing was kept';

interface Waiter {
  end: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

export class DurableWaiters {
  readonly #state: LogState;
  readonly #listeners: ((end: CommitLogOffset) => void)[] = [];
  #waiters: Waiter[] = [];
  #told = 0;

  constructor(state: LogState) {
    this.#state = state;
    this.#told = state.durable;
  }

  listen(listener: (end: CommitLogOffset) => void): void {
    this.#listeners.push(listener);
  }

  wait(end: number): Promise<void> {
    if (this.#state.durable >= end) return Promise.resolve();
    if (this.#state.failure !== undefined) return Promise.reject(this.#state.failure);
    // Why: these bytes were given up; others may stand there later.
    if (end > this.#state.end) return Promise.reject(new DrError('DISK_FULL', NOT_STORED));
    return new Promise((resolve, reject) => this.#waiters.push({ end, resolve, reject }));
  }

  /** Call after `durable` moved or the store failed. */
  notify(): void {
    const { durable, failure } = this.#state;
    if (durable !== this.#told) {
      this.#told = durable;
      const end = commitLogOffset(durable);
      for (let i = 0; i < this.#listeners.length; i++) this.#listeners[i]!(end);
      if (this.#waiters.length > 0) this.#release(durable);
    }
    if (failure !== undefined) this.rejectAll(failure);
  }

  /** The log was cut: what was told before says nothing of what comes behind `end`. */
  rejectBehind(end: number, reason: Error): void {
    this.#told = Math.min(this.#told, end);
    this.#release(end);
    this.rejectAll(reason);
  }

  rejectAll(reason: Error): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(reason);
  }

  #release(durable: number): void {
    const ready = this.#waiters.filter((waiter) => waiter.end <= durable);
    this.#waiters = this.#waiters.filter((waiter) => waiter.end > durable);
    for (const waiter of ready) waiter.resolve();
  }
}
