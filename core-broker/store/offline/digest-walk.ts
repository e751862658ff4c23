// Walks the log of a closed store record by record with two threads: one reads and checks (the thread that
// checks link bytes), the caller gets the digests, in log order. Ends where the valid records end.
// Invariant: a damaged record ends the walk, an error of the disk or of the caller fails it.
// Source: ours.
import { DrError } from '../../base/index.ts';
import { LogChecker, type RecordSink } from '../check/log-checker.ts';
import type { LogState } from '../log/log-state.ts';
import type { RecordDigest } from '../queue/digest/record-digest.ts';
import type { Topic } from '../queue/topic-table.ts';
import type { ClosedStore } from './closed-store.ts';

/** Log bytes between two reports. */
const SLICE_BYTES = 64 * 1024 * 1024;
/** Bytes ordered ahead of what was entered; the checker's ends hold 32 bits. */
const AHEAD_BYTES = 1024 * 1024 * 1024;

export interface WalkOptions {
  /** Told after each 64 MiB of log. */
  onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Digests have the hashes of their keys. */
  hasIndex: boolean;
  /** Moved along; a fresh one when the caller has none. Whoever enters a record moves `dispatched`. */
  state: LogState;
}

/** Takes a record; must set the state's `dispatched` behind it. */
export type OnDigest = (topic: Topic, digest: RecordDigest) => void;

/** The same, or many records at once. */
export type DigestSink = OnDigest | RecordSink;

/**
 * Shows every valid record from the first on.
 * @returns end of the valid records
 * @throws DrError CANCELLED, and what reading the files or the sink throws
 */
export async function walkDigests(
  store: ClosedStore,
  sink: DigestSink,
  options: WalkOptions,
): Promise<number> {
  const dispatcher = typeof sink === 'function' ? { enter: sink } : sink;
  const walk = new DigestWalk(store, dispatcher, options);
  try {
    await walk.run();
  } finally {
    await walk.close();
  }
  return options.state.dispatched;
}

class DigestWalk {
  readonly #options: WalkOptions;
  readonly #checker: LogChecker;
  readonly #done = Promise.withResolvers<void>();
  readonly #start: number;
  readonly #limit: number;
  #ordered: number;
  #reported: number;
  #failure: unknown;

  constructor(store: ClosedStore, sink: RecordSink, options: WalkOptions) {
    const { files, topics, messageDelayLevel } = store;
    const { state, hasIndex } = options;
    this.#options = options;
    this.#start = files.minOffset;
    this.#limit = files.limit;
    this.#ordered = this.#start;
    this.#reported = this.#start;
    state.resetTo(this.#start);
    const setup = { folder: files.folder, fileSize: files.fileSize, messageDelayLevel, hasIndex };
    this.#checker = new LogChecker(
      { state, topics, dispatcher: this.#guarded(sink), setup },
      {
        onChecked: () => this.#onChecked(),
        onFault: (reason, isDamage) => {
          if (isDamage) this.#done.resolve();
          else this.#done.reject(this.#failure ?? reason);
        },
      },
    );
  }

  /** Why another error: the checker of a running store waits for room on a full disk, this one fails. */
  #guarded(sink: RecordSink): RecordSink {
    const guard = (enter: () => void): void => {
      try {
        enter();
      } catch (reason) {
        this.#failure = reason;
        throw new Error('a record could not be entered');
      }
    };
    const { enterRun } = sink;
    return {
      enter: (topic, digest) => guard(() => sink.enter(topic, digest)),
      ...(enterRun && { enterRun: (run) => guard(() => enterRun.call(sink, run)) }),
    };
  }

  async run(): Promise<void> {
    if (this.#start === this.#limit) return;
    this.#checker.warm();
    this.#ordered = Math.min(this.#limit, this.#start + AHEAD_BYTES);
    this.#checker.begin(this.#start, this.#ordered);
    await this.#done.promise;
    this.#report();
  }

  close(): Promise<void> {
    return this.#checker.close();
  }

  #onChecked(): void {
    const { signal, state } = this.#options;
    if (signal?.aborted) {
      this.#checker.halt();
      this.#done.reject(new DrError('CANCELLED', 'the walk over the log was interrupted'));
      return;
    }
    if (state.dispatched - this.#reported >= SLICE_BYTES) this.#report();
    if (this.#ordered < this.#limit) this.#order();
    else if (this.#checker.isIdle) this.#done.resolve();
  }

  /** Only ever a farther end: the same one again would never be answered. */
  #order(): void {
    const end = Math.min(this.#limit, this.#options.state.dispatched + AHEAD_BYTES);
    if (end < this.#limit && end - this.#ordered < AHEAD_BYTES / 2) return;
    this.#ordered = end;
    this.#checker.extend(end);
  }

  #report(): void {
    this.#reported = this.#options.state.dispatched;
    this.#options.onProgress?.(this.#reported - this.#start, this.#limit - this.#start);
  }
}
