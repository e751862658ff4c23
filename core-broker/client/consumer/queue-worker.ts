// Consumes one queue: start offset, lock (orderly), pull, hand over, advance. One loop, one batch at a
// time, so the committed offset never passes a message that was not handled.
// Invariants: an offset advances only after its message was handled, sent back for retry, or filtered;
// a broker that cannot be asked is asked again, never skipped. A changed route drops the open pull.
import { DrError, sleep } from '../../base/index.ts';
import type { MessageQueue, SubscriptionData } from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import type { ReceivedMessage } from '../messages.ts';
import type { OffsetStore } from './offsets.ts';
import { type PullAnswer, pull } from './pull.ts';
import { isWanted } from './subscription.ts';

export interface WorkerOptions {
  group: string;
  isOrderly: boolean;
  messagesMax: number;
  /** Messages handled at the same time in concurrent mode. */
  concurrency: number;
  suspendMs: number;
  retryPauseMs: number;
}

/** What the consumer lends to its workers. */
export interface WorkerPorts {
  peer: PeerClient;
  offsets: OffsetStore;
  locate(queue: MessageQueue): string | undefined;
  /** Where a group without an offset begins. */
  firstOffset(queue: MessageQueue): Promise<number>;
  /** True when this consumer holds the queue's lock now (always, unless orderly). */
  lock(queue: MessageQueue): Promise<boolean>;
  /** True = consumed; false = again later. Never throws. */
  handle(message: ReceivedMessage): Promise<boolean>;
  /** Gives a message that failed to the broker. @throws DrError when nobody took it */
  sendBack(message: ReceivedMessage): Promise<void>;
  /** A broker did not answer: heartbeats are due. */
  onTrouble(reason: DrError): void;
}

export class QueueWorker {
  readonly queue: MessageQueue;
  readonly #options: WorkerOptions;
  readonly #ports: WorkerPorts;
  readonly #subscription: SubscriptionData;
  readonly #stop = new AbortController();
  #openPull = new AbortController();
  #next: number | undefined;
  #running: Promise<void> | undefined;

  constructor(
    queue: MessageQueue,
    subscription: SubscriptionData,
    options: WorkerOptions,
    ports: WorkerPorts,
  ) {
    this.queue = queue;
    this.#subscription = subscription;
    this.#options = options;
    this.#ports = ports;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Finishes the message in hand; nothing is handled after it resolves. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#openPull.abort();
    await this.#running;
  }

  /** The queue's broker has another address now: pull there, do not wait for the old one. */
  readdress(): void {
    this.#openPull.abort();
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        if (await this.#ports.lock(this.queue)) await this.#turn();
        else await this.#pause(this.#options.retryPauseMs);
      } catch (reason) {
        this.#ports.onTrouble(DrError.from(reason));
        await this.#pause(this.#options.retryPauseMs);
      }
    }
  }

  async #turn(): Promise<void> {
    this.#next ??= await this.#begin();
    const answer = await this.#pull(this.#next);
    if (answer === undefined || this.#isStopped) return;
    if (answer.outcome === 'found' && !(await this.#consume(answer.messages))) return;
    this.#advance(answer.next);
  }

  async #begin(): Promise<number> {
    const stored = await this.#ports.offsets.read(this.queue);
    return stored ?? (await this.#ports.firstOffset(this.queue));
  }

  /** Undefined when the pull was dropped by stop() or readdress(). */
  async #pull(offset: number): Promise<PullAnswer | undefined> {
    const address = this.#ports.locate(this.queue);
    if (address === undefined) {
      throw new DrError('NO_ROUTE', `${this.queue.topic}: no address of ${this.queue.brokerName}`);
    }
    this.#openPull = new AbortController();
    if (this.#isStopped) return undefined;
    const { group, suspendMs, messagesMax } = this.#options;
    const request = { group, queue: this.queue, offset, suspendMs, messagesMax };
    const answer = pull(this.#ports.peer, address, {
      ...request,
      subscription: this.#subscription,
    });
    return Promise.race([answer, aborted(this.#openPull.signal, answer)]);
  }

  /** False when it stopped before the end of the batch. */
  async #consume(messages: ReceivedMessage[]): Promise<boolean> {
    const step = this.#options.isOrderly ? 1 : this.#options.concurrency;
    for (let from = 0; from < messages.length; from += step) {
      if (this.#isStopped) return false;
      if (this.#options.isOrderly && !(await this.#isLocked())) return false;
      const part = messages.slice(from, from + step);
      const handled = await Promise.all(part.map((message) => this.#settle(message)));
      if (handled.includes(false)) return false;
      this.#advance((part.at(-1)?.queueOffset ?? 0) + 1);
    }
    return true;
  }

  /** Handles one message until it is done; false when stopped before. */
  async #settle(message: ReceivedMessage): Promise<boolean> {
    if (!isWanted(this.#subscription, message)) return true;
    while (!this.#isStopped) {
      if (await this.#ports.handle(message)) return true;
      if (!this.#options.isOrderly && (await this.#sentBack(message))) return true;
      await this.#pause(this.#options.retryPauseMs);
      // Orderly: the same message again, but only while the lock is still ours.
      while (!this.#isStopped && !(await this.#isLocked())) {
        await this.#pause(this.#options.retryPauseMs);
      }
    }
    return false;
  }

  async #sentBack(message: ReceivedMessage): Promise<boolean> {
    try {
      await this.#ports.sendBack(message);
      return true;
    } catch (reason) {
      // Nobody took it back: it stays ours and is handled again here.
      this.#ports.onTrouble(DrError.from(reason));
      return false;
    }
  }

  async #isLocked(): Promise<boolean> {
    try {
      return await this.#ports.lock(this.queue);
    } catch (reason) {
      this.#ports.onTrouble(DrError.from(reason));
      return false;
    }
  }

  #advance(next: number): void {
    if (next === this.#next) return;
    this.#next = next;
    this.#ports.offsets.update(this.queue, next);
  }

  async #pause(ms: number): Promise<void> {
    // Expected: stop() ends the pause early by rejecting it.
    await sleep(ms, this.#stop.signal).catch(() => undefined);
  }
}

/** Resolves with undefined when the signal fires; the abandoned call's error is not ours any more. */
function aborted(signal: AbortSignal, abandoned: Promise<unknown>): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    signal.addEventListener(
      'abort',
      () => {
        abandoned.catch(() => undefined);
        resolve(undefined);
      },
      { once: true },
    );
  });
}
