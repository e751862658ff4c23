// Back-pressure by time: while the kernel has not taken bytes that were appended longer ago than
// osPageCacheBusyTimeOutMills, new sends are refused with code 2, so that their clients try another broker
// at once. With Apache it is the lock of the log that is held too long; here nothing holds a lock, the
// sign of the same trouble is a write that does not come back.
// Invariant: only frames that were not looked at yet are refused. What is appended already is answered
// when it is written, never with "busy": the client would send a second copy of a stored message.
// Only for ASYNC_FLUSH: with SYNC_FLUSH waiting for the disk is the normal case, and code 10 the answer.
// Source: BrokerFastFailure, SendMessageProcessor.rejectRequest of RocketMQ, behaviour only.
import { createLog } from '../../base/index.ts';
import {
  decodeCommand,
  isOneway,
  isResponse,
  RequestCode,
  ResponseCode,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { AdmissionSlot } from '../admission.ts';
import type { FrameGate } from './frame-gate.ts';

const log = createLog('broker');
const BEAT_MS = 100;

/** What Apache's send processor refuses while it is busy. */
const REFUSED: ReadonlySet<number> = new Set([
  RequestCode.SEND_MESSAGE,
  RequestCode.SEND_MESSAGE_V2,
  RequestCode.SEND_BATCH_MESSAGE,
  RequestCode.CONSUMER_SEND_MSG_BACK,
  RequestCode.RECALL_MESSAGE,
]);

export class BusyGate implements FrameGate {
  readonly #admission: AdmissionSlot;

  constructor(admission: AdmissionSlot) {
    this.#admission = admission;
  }

  admits(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const { state, intercept } = this.#admission.current;
    // Sends that are relayed or refused for another reason do not go to this disk.
    if (state !== 'open' || intercept !== undefined) return true;
    const request = decodeCommand(chunk, start, end);
    if (isResponse(request) || !REFUSED.has(request.code)) return true;
    if (isOneway(request)) return false;
    connection.respond(request.opaque, {
      code: ResponseCode.SYSTEM_BUSY,
      remark: '[REJECTREQUEST]system busy, start flow control for a while',
    });
    return false;
  }
}

/** Where the log stands. */
export interface LogEnds {
  writtenOffset: number;
  maxOffset: number;
}

export interface SlowWritesOptions {
  ends: () => LogEnds;
  limitMs: () => number;
  nowMs: () => number;
  /** Told of each change. */
  onChange: (isBusy: boolean) => void;
}

/** Looks every 100 ms whether bytes wait too long: nothing is measured per message. */
export class SlowWrites {
  readonly #options: SlowWritesOptions;
  #timer: NodeJS.Timeout | undefined;
  /** Everything before this end was appended by #markMs. */
  #markEnd = 0;
  #markMs = 0;
  #lookedMs = 0;
  #isBusy = false;

  constructor(options: SlowWritesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lookedMs = this.#options.nowMs();
    this.#markMs = this.#lookedMs;
    this.#timer = setInterval(() => this.look(), BEAT_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One beat; public so that tests keep their own time. */
  look(): void {
    const { ends, limitMs, nowMs } = this.#options;
    const now = nowMs();
    const { writtenOffset, maxOffset } = ends();
    // Why: while this process stood still, a write that is done could not be noticed.
    this.#markMs += Math.max(0, now - this.#lookedMs - 2 * BEAT_MS);
    this.#lookedMs = now;
    if (writtenOffset >= this.#markEnd || maxOffset < this.#markEnd) {
      this.#markEnd = maxOffset;
      this.#markMs = now;
    }
    const waitedMs = now - this.#markMs;
    this.#tell(writtenOffset < this.#markEnd && waitedMs > limitMs(), waitedMs);
  }

  #tell(isBusy: boolean, waitedMs: number): void {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    if (isBusy)
      log.warn('broker.busy', 'the disk does not keep up; sends are refused', { waitedMs });
    else log.info('broker.not-busy', 'the disk keeps up again; sends are taken');
    this.#options.onChange(isBusy);
  }
}
