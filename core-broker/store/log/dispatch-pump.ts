// Dispatches what the writer brought to the disk, from the ring, in the same turn.
// A full disk under the queues only delays it: the record stays the next one and is tried again.
// Invariant: records leave here in log order, each exactly once.
import { createLog, DrError } from '../../base/index.ts';
import type { Dispatcher, RowRun } from '../queue/dispatcher.ts';
import { isDiskFull } from './file-layer.ts';
import type { LogFiles } from './log-files.ts';
import type { LogState } from './log-state.ts';
import type { PendingDigests } from './pending-digests.ts';
import { RecordCursor } from './record-bytes.ts';
import type { Ring } from './ring.ts';
import type { DigestRows } from './run/digest-rows.ts';

const RETRY_MS = 100;
const log = createLog('store');

interface Waiter {
  end: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

export interface PumpParts {
  ring: Ring;
  files: LogFiles;
  state: LogState;
  dispatcher: Dispatcher;
  pending: PendingDigests;
  rows: DigestRows;
}

export class DispatchPump {
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #dispatcher: Dispatcher;
  readonly #pending: PendingDigests;
  readonly #rows: DigestRows;
  readonly #cursor = new RecordCursor();
  #waiters: Waiter[] = [];
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: PumpParts) {
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#dispatcher = parts.dispatcher;
    this.#pending = parts.pending;
    this.#rows = parts.rows;
  }

  readonly run = (): void => {
    const state = this.#state;
    if (state.dispatched === state.written) return;
    try {
      this.#dispatchWritten();
      state.isQueueDiskFull = false;
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

  /** Nothing behind `end` will come. */
  rejectBehind(end: number): void {
    const gone = this.#waiters.filter((waiter) => waiter.end > end);
    this.#waiters = this.#waiters.filter((waiter) => waiter.end <= end);
    for (const waiter of gone) waiter.reject(new DrError('DISK_FULL', 'the record was not stored'));
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const waiter of this.#waiters) waiter.reject(new DrError('CANCELLED', 'store closed'));
    this.#waiters = [];
  }

  #dispatchWritten(): void {
    const state = this.#state;
    const ring = this.#ring;
    while (state.dispatched < state.written) {
      // Why not per record: a remainder of two large numbers costs as much as a whole record here.
      const start = ring.at(state.dispatched);
      const fileLeft = this.#files.leftAt(state.dispatched);
      const end = start + state.written - state.dispatched;
      const at = this.#dispatchRun(start, Math.min(end, start + fileLeft), fileLeft);
      if (at === start) return;
    }
  }

  /**
   * Dispatches the records of one stretch of the ring inside one log file.
   * @returns the place behind them: `start` when there is no whole one yet
   */
  #dispatchRun(start: number, end: number, fileLeft: number): number {
    const state = this.#state;
    const { bytes, capacity } = this.#ring;
    let at = start;
    while (at < end && at < capacity) {
      const known = this.#enterKnown(at, end);
      if (known === 'cut') break;
      if (known > 0) {
        at += known;
        continue;
      }
      const left = fileLeft - (at - start);
      const kind = this.#cursor.read(bytes, at, end, left);
      if (kind === 'record') {
        this.#dispatcher.dispatch(bytes, this.#cursor);
        at += this.#cursor.size;
      } else if (kind === 'blank' && end - at >= left) {
        state.dispatched += left;
        at += left;
      } else if (kind === 'bad') {
        throw new Error(`the ring holds no record at ${state.dispatched}`);
      } else {
        break;
      }
    }
    return at;
  }

  /** Enters records from `at` on by digests made at their append. @returns their bytes, 0 = there is none */
  #enterKnown(at: number, end: number): number | 'cut' {
    const state = this.#state;
    const { dispatched } = state;
    const rows = this.#rows.of(dispatched, at);
    if (rows !== undefined) return this.#enterRows(rows);
    const pending = this.#pending.of(dispatched, at);
    if (pending?.topic === undefined) return 0;
    const { size } = pending.digest;
    if (at + size > end) return 'cut';
    this.#dispatcher.enter(pending.topic, pending.digest);
    this.#pending.shift();
    return size;
  }

  /** A run of the kernel lies in one file and in one stretch of the ring. */
  #enterRows(rows: RowRun): number | 'cut' {
    const state = this.#state;
    const from = state.dispatched;
    try {
      this.#dispatcher.enterRun(rows);
    } finally {
      this.#rows.taken();
    }
    return state.dispatched === from ? 'cut' : state.dispatched - from;
  }

  #stumble(reason: unknown): void {
    if (isDiskFull(reason)) {
      this.#state.isQueueDiskFull = true;
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
