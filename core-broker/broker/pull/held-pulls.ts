// Long polling: pulls that found nothing wait here per topic and queue until a message arrives, their
// time is over or someone asks for all of them. Waking costs one lookup; nothing is scanned per message.
// Arrivals of one dispatch round wake a pull once, after the round, so that it returns a full batch. Those
// that wake stand in line with the pulls that come (pull-turns.ts); who is answered later gets more messages.
// Invariant: a held pull wakes exactly once. Source: PullRequestHoldService, behaviour only.
import { type Clock, LIMITS } from '../../base/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { QueueRef } from '../../store/index.ts';
import type { PullHolder } from '../parts.ts';
import type { PullTurns, TurnPull } from './pull-turns.ts';

/** How late an expired pull may be answered. */
const SWEEP_MS = 200;

/** Its offset is the first that was not looked at: what the consumer wants, or behind what a filter refused. */
export interface HeldPull extends TurnPull {
  tagCodes: ReadonlySet<number> | undefined;
  /** Monotonic ms. */
  deadlineMs: number;
}

/** A pull on its way to its answer; one that was held knows until when it may be. */
export type WaitingPull = TurnPull | HeldPull;

type Queues = Map<number, HeldPull[]>;

export class HeldPulls implements PullHolder {
  readonly #clock: Clock;
  readonly #turns: PullTurns<WaitingPull>;
  readonly #topics = new Map<string, Queues>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, turns: PullTurns<WaitingPull>) {
    this.#clock = clock;
    this.#turns = turns;
  }

  get held(): number {
    return this.#count;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** Answers everything and holds nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.answerAll();
  }

  /** @returns false when too many pulls wait already */
  hold(pull: HeldPull): boolean {
    if (this.#count >= LIMITS.heldPullsMax) return false;
    const { topic, queueId } = pull.request;
    const queues: Queues = this.#topics.get(topic) ?? new Map();
    this.#topics.set(topic, queues);
    const list = queues.get(queueId);
    if (list) list.push(pull);
    else queues.set(queueId, [pull]);
    this.#count++;
    return true;
  }

  get isListening(): boolean {
    return this.#count > 0;
  }

  /** A message became readable: called for every record of a dispatch round. */
  onArrival(queue: QueueRef, nextOffset: number, tagsCode: number): void {
    if (this.#count === 0) return;
    const queues = this.#topics.get(queue.topic);
    const list = queues?.get(queue.queueId);
    if (queues === undefined || list === undefined) return;
    const wakes = (pull: HeldPull): boolean =>
      nextOffset > pull.offset && (pull.tagCodes?.has(tagsCode) ?? true);
    this.#move(queues, queue, wakes, false);
  }

  answerAll(of?: ServerConnection): void {
    const isMeant = (pull: HeldPull): boolean => of === undefined || pull.connection === of;
    for (const [topic, queues] of this.#topics) {
      for (const queueId of [...queues.keys()]) this.#move(queues, { topic, queueId }, isMeant);
    }
    this.#turns.answerAll(of);
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    const isOver = (pull: HeldPull): boolean => pull.deadlineMs <= nowMs || !pull.connection.isOpen;
    for (const [topic, queues] of this.#topics) {
      for (const queueId of [...queues.keys()]) this.#move(queues, { topic, queueId }, isOver);
    }
  }

  /** Takes the chosen pulls of one queue out; they are answered at the end of this round. */
  #move(
    queues: Queues,
    queue: QueueRef,
    isChosen: (pull: HeldPull) => boolean,
    isLast = true,
  ): void {
    const list = queues.get(queue.queueId) ?? [];
    const rest: HeldPull[] = [];
    for (const pull of list) {
      if (isChosen(pull)) this.#wake(pull, isLast);
      else rest.push(pull);
    }
    if (rest.length === list.length) return;
    if (rest.length > 0) queues.set(queue.queueId, rest);
    else queues.delete(queue.queueId);
    if (queues.size === 0) this.#topics.delete(queue.topic);
  }

  #wake(pull: HeldPull, isLast: boolean): void {
    this.#count--;
    this.#turns.wake(pull, isLast ? 'last' : 'woken');
  }
}
