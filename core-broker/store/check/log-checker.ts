// The store's side of checking link bytes on another thread: gives orders, enters the digests that come
// back, and says what was found. When the thread dies its work is done here, in slices.
// Order: bytes are in the files → checked → entered (queue, index, `dispatched`); nothing is readable,
// acknowledged or promoted before it was entered.
// Invariant: rows of an earlier order change nothing, so whoever cuts the log gives a new order first.
// Source: ours.
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';
import { createLog, DrError } from '../../base/index.ts';
import { mappedFileName } from '../layout.ts';
import { isDiskFull } from '../log/file-layer.ts';
import type { LogState } from '../log/log-state.ts';
import { DAMAGE } from '../log/record-bytes.ts';
import { RecordDigest } from '../queue/digest/record-digest.ts';
import type { Dispatcher, RowRun } from '../queue/dispatcher.ts';
import type { Topic, TopicTable } from '../queue/topic-table.ts';
import { type CheckSetup, DigestRing, ROW } from './digest-ring.ts';
import { LogFollower } from './log-follower.ts';

/** Rows entered between two turns of the loop, 0.3 ms: bytes that arrive are taken first. */
const SLICE_ROWS = 2048;
const RETRY_MS = 100;
/** A thread that dies again and again is not started any more. */
const DEATHS_MAX = 3;
/** Source tree: .ts, run by type stripping. Published build: .js. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './checker-thread.ts' : './checker-thread.js',
  import.meta.url,
);
const log = createLog('store');

/** Where checked records go. */
export interface RecordSink extends Pick<Dispatcher, 'enter'> {
  /** Many at once; when it is missing they come one by one. */
  enterRun?: Dispatcher['enterRun'];
}

/** What a LogChecker needs of its store. */
export interface CheckerParts {
  state: LogState;
  topics: TopicTable;
  dispatcher: RecordSink;
  setup: Omit<CheckSetup, 'memory'>;
  /** Module of the thread; tests give one that fails. */
  entry?: URL;
}

export interface CheckListener {
  /** Records were entered, or everything ordered was looked at. */
  onChecked(): void;
  /** The bytes at the validated end are damaged, or cannot be read or entered. */
  onFault(reason: DrError, isDamage: boolean): void;
}

export class LogChecker {
  readonly #parts: CheckerParts;
  readonly #listener: CheckListener;
  readonly #digest = new RecordDigest();
  #ring = new DigestRing();
  #thread: Worker | undefined;
  #gone: Promise<void> = Promise.resolve();
  #isUp = false;
  #deaths = 0;
  /** Does the thread's work after its death. */
  #own: LogFollower | undefined;
  #isListening = false;
  /** Number of the order in force, 0 = none; and whether its rows have begun. */
  #order = 0;
  #hasBegun = false;
  #end = 0;
  #isIdle = true;
  /** By number of the checker. */
  #topics: Topic[] = [];
  readonly #rows: RowRun = {
    words: new Int32Array(0),
    at: 0,
    end: 0,
    left: 0,
    until: Number.POSITIVE_INFINITY,
    topics: [],
  };
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: CheckerParts, listener: CheckListener) {
    this.#parts = parts;
    this.#listener = listener;
  }

  /** A thread waits for orders. */
  get isReady(): boolean {
    return this.#isUp;
  }

  /** Nothing that was ordered is left to check, but for a record that is not whole. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /**
   * Starts the thread, once; isReady tells when it waits for orders, but what it is ordered before that it
   * does as well. Not while the work of a dead one is done here.
   * @returns whether there is a thread now
   */
  warm(): boolean {
    if (this.#thread !== undefined) return true;
    if (this.#deaths >= DEATHS_MAX || this.#own !== undefined) return false;
    // Why: a thread writes from the first row of a ring on and obeys the order it finds; in a ring that
    // was used before, the reader would wait for ever behind rows that never come.
    if (this.#deaths > 0) this.#ring = new DigestRing();
    const workerData: CheckSetup = { ...this.#parts.setup, memory: this.#ring.memory };
    const thread = new Worker(this.#parts.entry ?? ENTRY, { workerData, name: 'link-check' });
    thread.unref();
    this.#thread = thread;
    thread.once('online', () => {
      this.#isUp = this.#thread === thread;
    });
    thread.once('error', (reason) => this.#onDeath(thread, reason));
    this.#gone = new Promise((resolve) => {
      thread.once('exit', (code) => {
        this.#onDeath(thread, new Error(`it ended with ${code}`));
        resolve();
      });
    });
    return true;
  }

  /** Checks [from, end) of the files; `from` is the validated end. */
  begin(from: number, end: number): void {
    this.#order = this.#ring.order(from, end);
    this.#hasBegun = false;
    this.#end = end;
    this.#isIdle = false;
    this.#goOn();
  }

  /** The files hold more. */
  extend(end: number): void {
    this.#end = end;
    this.#isIdle = false;
    this.#ring.extend(end);
    this.#goOn();
  }

  /** Forgets what is under way. */
  halt(): void {
    if (this.#order === 0) return;
    this.#order = 0;
    this.#isIdle = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    // An order of nothing: the checker leaves the files alone.
    this.#ring.order(0, 0);
    if (!this.#isListening) this.#dismissOwn();
  }

  /** Ends the thread; resolves when it is gone. */
  async close(): Promise<void> {
    this.halt();
    this.#own?.close();
    this.#own = undefined;
    const thread = this.#thread;
    this.#thread = undefined;
    this.#isUp = false;
    if (thread === undefined) return;
    // Why not terminate(): a thread killed while it starts has taken the process with it.
    thread.ref();
    this.#ring.stop();
    await this.#gone;
    this.#ring = new DigestRing();
  }

  #onDeath(thread: Worker, reason: Error): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    this.#isUp = false;
    this.#deaths++;
    log.error('store.checker_died', 'the thread that checks link bytes died; it is done here', {
      deaths: this.#deaths,
      reason: reason.message,
    });
    const old = this.#ring;
    this.#ring = new DigestRing();
    old.wakeReader();
    if (this.#order === 0) return;
    this.#own = new LogFollower(this.#ring, this.#parts.setup);
    this.begin(this.#parts.state.dispatched, this.#end);
  }

  /** Sees to it that somebody looks at the ring. */
  #goOn(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    // The process must not end while somebody waits for the check.
    this.#thread?.ref();
    void this.#run();
  }

  /** Never rejects: what goes wrong is a fault. */
  async #run(): Promise<void> {
    // Order: whoever gives an order or more bytes ends its own step first. The thread can have answered an
    // order already, and `onChecked` in the middle of begin() would say that nothing is left to check
    // while the bytes that the order is for are still to be written.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#order !== 0 && !this.#isIdle && this.#retry === undefined) {
      const isOwn = this.#own !== undefined;
      this.#turn();
      if (this.#isIdle || this.#order === 0) break;
      if (isOwn || this.#ring.peek() !== 0) await new Promise((resolve) => setImmediate(resolve));
      else await this.#ring.arrival();
    }
    this.#isListening = false;
    this.#thread?.unref();
    this.#dismissOwn();
  }

  #turn(): void {
    try {
      this.#own?.step();
      this.#enterRows();
    } catch (reason) {
      this.#stumble(reason);
    }
  }

  /** A full disk under the queues only delays: the row stays the next one. */
  #stumble(reason: unknown): void {
    this.#ring.release();
    if (!isDiskFull(reason)) {
      this.#fail(DrError.from(reason));
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#goOn();
    }, RETRY_MS);
  }

  #fail(reason: DrError, isDamage = false): void {
    this.halt();
    this.#listener.onFault(reason, isDamage);
  }

  #enterRows(): void {
    const ring = this.#ring;
    const order = this.#order;
    const run = this.#rows;
    run.left = SLICE_ROWS;
    while (run.left > 0 && this.#order === order) {
      const kind = ring.peek();
      if (kind === 0) break;
      if (kind > 0 && this.#enterRun()) continue;
      if (kind > 0) this.#enterRecord();
      else this.#note(kind);
      ring.take();
      run.left--;
    }
    ring.release();
    if (this.#order === order) this.#listener.onChecked();
  }

  /** Enters rows in one go, as many as lie together. False: they have to come one by one. */
  #enterRun(): boolean {
    const { dispatcher } = this.#parts;
    if (!this.#hasBegun || dispatcher.enterRun === undefined) return false;
    const run = this.#rows;
    run.words = this.#ring.rows;
    run.topics = this.#topics;
    this.#ring.run(run);
    try {
      dispatcher.enterRun(run);
    } finally {
      this.#ring.takeTo(run.at);
    }
    return true;
  }

  #enterRecord(): void {
    if (!this.#hasBegun) return;
    const { state, dispatcher } = this.#parts;
    const topic = this.#topics[this.#ring.record(this.#digest)];
    if (topic === undefined) throw new Error('a record came before its topic');
    this.#digest.physicalOffset = state.dispatched;
    dispatcher.enter(topic, this.#digest);
  }

  #note(kind: number): void {
    const ring = this.#ring;
    const value = ring.word(1);
    if (kind === ROW.begin) {
      this.#hasBegun = value === this.#order;
      this.#topics = [];
    } else if (!this.#hasBegun) {
      return;
    } else if (kind === ROW.topic) {
      const name = ring.topicName();
      this.#topics[value] = this.#parts.topics.ofBytes(name, 0, name.length);
    } else if (kind === ROW.blank) {
      this.#parts.state.dispatched += value;
    } else if (kind === ROW.idle) {
      this.#isIdle = value === (this.#end | 0);
    } else if (kind === ROW.damage) {
      this.#fail(this.#damaged(value), true);
    }
  }

  #damaged(value: number): DrError {
    const offset = this.#parts.state.dispatched;
    const { folder, fileSize } = this.#parts.setup;
    const file = path.join(folder, mappedFileName(offset - (offset % fileSize)));
    const why = DAMAGE[value] ?? DAMAGE[0];
    return new DrError('CORRUPT', `damaged record in the link's bytes at ${offset}: ${why}`, {
      context: { offset, file },
    });
  }

  /** The next time is a thread's again. */
  #dismissOwn(): void {
    if (this.#order !== 0 && !this.#isIdle) return;
    this.#own?.close();
    this.#own = undefined;
  }
}
