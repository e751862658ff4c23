// Dispatches what the writer brought to the disk, from the ring, in the same turn.
// A full disk under the queues only delays it: the record stays the next one and is tried again.
// Invariant: records leave here in log order, each exactly once.
import { createLog, DrError } from '../../base/index.ts';
import type { Dispatcher } from '../queue/dispatcher.ts';
import { isDiskFull } from './file-layer.ts';
import type { LogFiles } from './log-files.ts';
import type { LogState } from './log-state.ts';
import { RecordCursor } from './record-bytes.ts';
import type { Ring } from './ring.ts';

const RETRY_MS = 100;
const log = createLog('store');

interface Waiter {
  end: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

export class DispatchPump {
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #dispatcher: Dispatcher;
  readonly #cursor = new RecordCursor();
  #waiters: Waiter[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: { ring: Ring; files: LogFiles; state: LogState; dispatcher: Dispatcher }) {
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#dispatcher = parts.dispatcher;
  }

  readonly run = (): void => {
    const state = this.#state;
    if (state.dispatched === state.written) return;
    try {
      this.#dispatchWritten();
    } catch (reason) {
      this.#stumble(reason);
    }
    if (this.#waiters.length > 0) this.#release();
  };

  /** Resolves when everything up to `end` is in its queue. */
  wait(end: number): Promise<void> {
    if (this.#state.dispatched >= end) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ end, resolve, reject }));
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const waiter of this.#waiters) waiter.reject(new DrError('CANCELLED', 'store closed'));
    this.#waiters = [];
  }

  #dispatchWritten(): void {
    const state = this.#state;
    while (state.dispatched < state.written) {
      const at = this.#ring.at(state.dispatched);
      const end = at + state.written - state.dispatched;
      const left = this.#files.leftAt(state.dispatched);
      const kind = this.#cursor.read(this.#ring.bytes, at, end, left);
      if (kind === 'partial') return;
      if (kind === 'blank') {
        if (end - at < left) return;
        state.dispatched += left;
      } else if (kind === 'record') {
        this.#dispatcher.dispatch(this.#ring.bytes, this.#cursor);
      } else {
        throw new Error(`the ring holds no record at ${state.dispatched}`);
      }
    }
  }

  #stumble(reason: unknown): void {
    if (isDiskFull(reason)) {
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.run();
      }, RETRY_MS);
      return;
    }
    log.error('store.failed', 'dispatch failed; the store takes no more appends', {
      offset: this.#state.dispatched,
      reason: String(reason),
    });
    this.#state.failure ??= DrError.from(reason);
    for (const waiter of this.#waiters) waiter.reject(this.#state.failure);
    this.#waiters = [];
  }

  #release(): void {
    const { dispatched } = this.#state;
    const ready = this.#waiters.filter((waiter) => waiter.end <= dispatched);
    this.#waiters = this.#waiters.filter((waiter) => waiter.end > dispatched);
    for (const waiter of ready) waiter.resolve();
  }
}
