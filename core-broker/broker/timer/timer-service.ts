// The loop of the timers: runs on the active side only, in bounded turns between which sends and pulls
// have the loop. start() opens the files anew, because the link may have fed the store since.
// A refused append (full disk, fence) is tried again at the same message; nothing is skipped.
// Duplicates: after a crash a message whose delivery the index cannot show (index off, or no UNIQ_KEY)
// may come again if it was due behind the last checkpoint (timerFlushIntervalMs); no other may.
import { type Clock, createLog, DrError, sleep } from '../../base/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { ScheduleService } from '../parts.ts';
import type { MessageWriter } from '../writing/index.ts';
import {
  encodeCheckpoint,
  readCheckpoint,
  type TimerCheckpoint,
  WHEEL_SLOTS,
  writeCheckpoint,
} from './files/index.ts';
import { MirroredTimes } from './mirrored-times.ts';
import { floorTo, TimerBooks } from './timer-books.ts';
import { TimerEngine } from './timer-engine.ts';
import { TimerRates } from './timer-rates.ts';

const IDLE_MS = 100;
const PAUSE_AFTER_ERROR_MS = 1_000;
/** Without work the times are written this often only. */
const IDLE_SAVE_MS = 10_000;
const TRIM_MS = 30_000;
/** Slots Apache keeps free at the end of the wheel. */
const BLANK_SLOTS = 60;

const log = createLog('broker');

export interface TimerServiceOptions {
  config: BrokerConfig;
  store: MessageStore;
  writer: MessageWriter;
  clock: Clock;
  /** The loop died: the process must end. */
  fail: (reason: DrError) => void;
}

export interface TimerFigures {
  readBehindMs: number;
  offsetBehind: number;
  waiting: number;
  due: number;
  /** How late the slot in hand is; 0 when nothing is due. */
  lateMs: number;
  enqueueTps: number;
  dequeueTps: number;
}

interface Running {
  readonly books: TimerBooks;
  readonly engine: TimerEngine;
}

const START_OF_TIME: TimerCheckpoint = {
  readTimeMs: 0,
  flushedPos: 0,
  queueOffset: 0,
  stateVersion: 0,
  timestampMs: 0,
  counter: 0,
};

export class TimerService implements ScheduleService {
  readonly #options: TimerServiceOptions;
  readonly #mirrored: MirroredTimes;
  readonly #rates: TimerRates;
  #stop: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #running: Running | undefined;
  #saved: TimerCheckpoint;
  #savedMs = 0;
  /** The save under way; one at a time. */
  #saving: Promise<void> | undefined;
  #saveFailure: DrError | undefined;
  /** Until a save succeeds again: turns between two that fail do not make health look well. */
  #isSaveFailing = false;
  /** A chain could not be read: the wheel is built again from the log. */
  #isDamaged = false;
  #trimmedMs = 0;
  #problem: string | undefined;

  constructor(options: TimerServiceOptions) {
    const { config, store, clock } = options;
    this.#options = options;
    this.#mirrored = new MirroredTimes(config.storePathRootDir, store);
    this.#rates = new TimerRates(clock);
    this.#saved = readCheckpoint(this.#mirrored.file) ?? START_OF_TIME;
  }

  start(): void {
    if (this.#stop || !this.#options.config.timerWheelEnable) return;
    const stop = new AbortController();
    this.#stop = stop;
    this.#loop = this.#loop
      .then(() => this.#run(stop.signal))
      .catch((reason: unknown) => this.#options.fail(DrError.from(reason)));
  }

  stop(): void {
    this.#stop?.abort(new DrError('CANCELLED', 'timers stop'));
    this.#stop = undefined;
  }

  /** Resolves when the files are written and closed; the store must still be open. */
  async stopped(): Promise<void> {
    this.stop();
    await this.#loop;
  }

  /** Times a standby read from its source; kept until the copied log is known to hold what they claim. */
  mirror(checkpoint: Buffer): Promise<void> {
    return this.#mirrored.take(checkpoint);
  }

  /** The copied log was proven complete: the times taken last are believed. */
  adopt(): Promise<void> {
    return this.#mirrored.adopt();
  }

  /** Code 60: what is on disk, so that a copy of it never claims what a crash here would undo. */
  checkpoint(): Buffer {
    return encodeCheckpoint(this.#saved);
  }

  /** Code 61. */
  metrics(): unknown {
    return this.#running?.books.metrics.content() ?? { dataVersion: {}, timingCount: {} };
  }

  /** Why timer messages are not delivered, for health. */
  problems(): string[] {
    return this.#problem === undefined ? [] : [`timer messages wait: ${this.#problem}`];
  }

  /** Messages in one slot, for timerCongestNumEachSlot. */
  congestion(dueMs: number): number {
    const slotMs = floorTo(dueMs, this.#options.config.timerPrecisionMs);
    return this.#running?.books.wheel.get(slotMs)?.count ?? 0;
  }

  figures(): TimerFigures {
    const { engine, books } = this.#running ?? {};
    const { nowMs } = this.#options.clock;
    const readMs = engine?.readTimeMs ?? nowMs();
    const due = engine?.due ?? 0;
    const lateMs = nowMs() - readMs - this.#options.config.timerPrecisionMs;
    return {
      readBehindMs: Math.max(0, nowMs() - readMs),
      offsetBehind: engine?.behind ?? 0,
      waiting: books?.wheel.total ?? 0,
      due,
      lateMs: due > 0 ? Math.max(0, lateMs) : 0,
      ...this.#rates.perSecond(engine?.counts ?? { enqueued: 0, dequeued: 0 }),
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#work(signal);
      } catch (reason) {
        const error = DrError.from(reason);
        this.#isDamaged = error.code === 'CORRUPT';
        if (!signal.aborted) await this.#pause(error, signal);
      } finally {
        await this.#saving;
        this.#saveFailure = undefined;
        this.#running?.books.close();
        this.#running = undefined;
      }
    }
  }

  /** From opening the files to the last save. */
  async #work(signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    await store.dispatched();
    await this.#mirrored.settle();
    if (signal.aborted) return;
    const { books, engine } = this.#open();
    while (!signal.aborted) {
      const isBusy = await this.#turn(engine, signal);
      if (this.#saveFailure) await this.#lastSave();
      this.#saveWhenDue(books, engine);
      if (!this.#isSaveFailing) this.#problem = undefined;
      if (isBusy) await new Promise((resolve) => setImmediate(resolve));
      else await this.#rest(signal);
    }
    await this.#lastSave();
    await this.#save(books, engine);
  }

  #open(): Running {
    const { config, store, clock } = this.#options;
    const precisionMs = config.timerPrecisionMs;
    const rootDir = config.storePathRootDir;
    const fileBytes = config.mappedFileSizeTimerLog;
    const books = new TimerBooks({ rootDir, store, clock, precisionMs, fileBytes });
    const max = WHEEL_SLOTS - BLANK_SLOTS;
    const slots = config.timerRollWindowSlot;
    const rollWindowSlots = slots > max || slots < 2 ? max : slots;
    const hasTopicInDeleteKey = () => config.appendTopicForTimerDeleteKey;
    const options = { ...this.#options, precisionMs, rollWindowSlots, hasTopicInDeleteKey };
    this.#running = { books, engine: new TimerEngine(options, books, books.open(this.#isDamaged)) };
    this.#isDamaged = false;
    return this.#running;
  }

  /** At most until the next slot is due. */
  async #rest(signal: AbortSignal): Promise<void> {
    const { timerPrecisionMs } = this.#options.config;
    const toNextMs = timerPrecisionMs - (this.#options.clock.nowMs() % timerPrecisionMs);
    await sleep(Math.min(IDLE_MS, toNextMs), signal).catch(() => undefined);
  }

  /** @returns true when there is more to do at once */
  async #turn(engine: TimerEngine, signal: AbortSignal): Promise<boolean> {
    const { config } = this.#options;
    try {
      const hasRead = !config.timerStopEnqueue && (await engine.enqueue());
      if (signal.aborted) return false;
      const hasDelivered = !config.timerStopDequeue && (await engine.dequeue());
      return hasRead || hasDelivered;
    } catch (reason) {
      // The message in hand stays in hand: the engine goes on with it.
      const error = DrError.from(reason);
      if (!DrError.is(error, 'BUSY', 'DISK_FULL', 'FENCED', 'NOT_MASTER')) throw error;
      if (!signal.aborted && error.code !== 'BUSY') await this.#pause(error, signal);
      return false;
    }
  }

  /** Beside the loop: a slow disk makes times old, never messages late. */
  #saveWhenDue(books: TimerBooks, engine: TimerEngine): void {
    if (this.#saving !== undefined) return;
    const { config, clock, store } = this.#options;
    const nowMs = clock.monotonicMs();
    const hasWork = engine.queueOffset !== this.#saved.queueOffset || books.wheel.isDirty;
    const hasMoved = engine.readTimeMs !== this.#saved.readTimeMs;
    const hasDelivered = this.#rates.isNew(engine.counts);
    const isUsed = hasWork || hasDelivered || (hasMoved && this.#saved.counter > 0);
    const waitMs = hasWork || hasDelivered ? config.timerFlushIntervalMs : IDLE_SAVE_MS;
    if (isUsed && nowMs - this.#savedMs >= waitMs) {
      this.#saving = this.#save(books, engine)
        .catch((reason: unknown) => {
          this.#saveFailure = DrError.from(reason);
          this.#isSaveFailing = true;
        })
        .finally(() => {
          this.#saving = undefined;
        });
    } else if (nowMs - this.#trimmedMs >= TRIM_MS) {
      this.#trimmedMs = nowMs;
      books.log.trim(store.storeBounds().minOffset);
    }
  }

  /** @throws DrError why the save beside the loop failed */
  async #lastSave(): Promise<void> {
    await this.#saving;
    const failure = this.#saveFailure;
    this.#saveFailure = undefined;
    if (failure) throw failure;
  }

  async #save(books: TimerBooks, engine: TimerEngine): Promise<void> {
    const isUnused = engine.queueOffset === 0 && this.#saved.counter === 0;
    if (isUnused) return;
    this.#rates.noted(engine.counts);
    const state = await engine.save(this.#saved);
    await writeCheckpoint(books.checkpointFile, { ...state, mirroredIn: undefined });
    this.#saved = state;
    this.#isSaveFailing = false;
    this.#savedMs = this.#options.clock.monotonicMs();
  }

  async #pause(reason: DrError, signal: AbortSignal): Promise<void> {
    this.#problem = reason.message;
    log.warn('timer.paused', 'delivery of timer messages failed; trying again', {
      code: reason.code,
      error: reason.message,
      retryMs: PAUSE_AFTER_ERROR_MS,
    });
    await sleep(PAUSE_AFTER_ERROR_MS, signal).catch(() => undefined);
  }
}
