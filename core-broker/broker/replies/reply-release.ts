// Lets withheld replies go when the store says their records may be acknowledged, one write per
// connection and flush. Also the back-pressure of sends: too much unwritten pauses the senders.
// Invariant: an end reported earlier proves nothing later, because a log may be cut and grow again over the
// same offsets; only what the store says after the append counts.
// A record that will never be durable (write error) is answered with an error, never with success;
// one that takes longer than syncFlushTimeout is answered with 10, which tells the client so.
import { type Clock, DrError, histogram, LIMITS } from '../../base/index.ts';
import { ResponseCode, type ResponseInit } from '../../protocol/index.ts';
import type { Session } from './session.ts';

const SWEEP_MS = 500;
const PAUSE_BYTES = LIMITS.unflushedBytesMax / 2;
const RESUME_BYTES = PAUSE_BYTES / 2;

const putLatency = histogram({
  name: 'dr_broker_put_latency_seconds',
  help: 'append to acknowledgement of the oldest send of each release',
  buckets: [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
});

export interface ReplyReleaseOptions {
  clock: Clock;
  /** Time after which a send is answered with FLUSH_DISK_TIMEOUT; undefined = never. */
  timeoutMs: number | undefined;
  /** store.durable: rejects when the store can acknowledge no more. */
  durable: (end: number) => Promise<void>;
  /** Told how long the oldest send of each release waited, ms. */
  onLatency: (tookMs: number) => void;
  /** What sends are answered with then. */
  failure: (reason: DrError) => ResponseInit;
}

export class ReplyRelease {
  readonly #options: ReplyReleaseOptions;
  #waiting: Session[] = [];
  #paused: Session[] = [];
  #durableEnd = 0;
  #appendedEnd = 0;
  #isWatching = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReplyReleaseOptions) {
    this.#options = options;
  }

  start(durableEnd: number): void {
    this.#durableEnd = durableEnd;
    this.#appendedEnd = durableEnd;
    if (this.#options.timeoutMs === undefined) return;
    this.#timer = setInterval(() => this.#expire(), SWEEP_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A reply was put into session.replies; `end` is the end of its record. */
  held(session: Session, end: number): void {
    this.#appendedEnd = end;
    if (!session.isWaiting) {
      session.isWaiting = true;
      this.#waiting.push(session);
    }
    this.#watch();
    if (this.#appendedEnd - this.#durableEnd > PAUSE_BYTES) this.#pause(session);
  }

  onDurable(end: number): void {
    this.#durableEnd = end;
    const waiting = this.#waiting;
    if (waiting.length > 0) {
      this.#observe(waiting[0] as Session);
      const rest: Session[] = [];
      for (const session of waiting) {
        session.replies.release(session.connection, end);
        session.isWaiting = session.replies.count > 0;
        if (session.isWaiting) rest.push(session);
      }
      this.#waiting = rest;
    }
    if (this.#paused.length > 0 && this.#appendedEnd - end < RESUME_BYTES) this.#resumeAll();
  }

  /** One promise per flush, not per message: it hears of a failure, and of what was durable already. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const end = this.#appendedEnd;
    this.#options.durable(end).then(
      () => {
        this.#isWatching = false;
        this.onDurable(end);
        if (this.#waiting.length > 0) this.#watch();
      },
      (reason: unknown) => {
        this.#isWatching = false;
        this.#failAll(DrError.from(reason));
      },
    );
  }

  /** Records behind the durable end are not acknowledged any more: the clients must hear it. */
  #failAll(reason: DrError): void {
    const response = this.#options.failure(reason);
    for (const session of this.#waiting) {
      for (const opaque of session.replies.takeOpaques()) {
        session.connection.respond(opaque, response);
      }
      session.isWaiting = false;
    }
    this.#waiting = [];
    this.#appendedEnd = this.#durableEnd;
    this.#resumeAll();
  }

  #observe(session: Session): void {
    const sinceMs = session.replies.oldestMs;
    if (sinceMs === undefined) return;
    const tookMs = this.#options.clock.monotonicMs() - sinceMs;
    putLatency.observe(tookMs / 1_000);
    this.#options.onLatency(tookMs);
  }

  #expire(): void {
    const beforeMs = this.#options.clock.monotonicMs() - (this.#options.timeoutMs ?? 0);
    for (const session of this.#waiting) {
      session.replies.releaseLate(session.connection, {
        beforeMs,
        code: ResponseCode.FLUSH_DISK_TIMEOUT,
      });
    }
  }

  #pause(session: Session): void {
    if (session.isPaused) return;
    session.isPaused = true;
    session.connection.pause();
    this.#paused.push(session);
  }

  #resumeAll(): void {
    const paused = this.#paused;
    this.#paused = [];
    for (const session of paused) {
      session.isPaused = false;
      session.connection.resume();
    }
  }
}
