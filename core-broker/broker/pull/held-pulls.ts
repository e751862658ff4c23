// Long polling: pulls that found nothing wait here per topic and queue until a message arrives, their
// time is over or someone asks for all of them. Waking costs one lookup; nothing is scanned per message.
// Arrivals of one dispatch round wake a pull once, after the round, so that it returns a full batch. Many
// that wake at once are answered over several turns of the loop, between the reads of other sockets: sends
// do not wait for all of them, and who is answered later gets more messages.
// Invariant: a held pull is answered exactly once. Source: PullRequestHoldService, behaviour only.
import { type Clock, LIMITS } from '../../base/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { QueueRef } from '../../store/index.ts';
import type { PullHolder } from '../parts.ts';
import type { PullRequest } from './pull-request.ts';

/** How late an expired pull may be answered. */
const SWEEP_MS = 200;
/** Time for woken pulls in one turn of the loop. Why so long: some hundred pulls, a usual round, go at once. */
const TURN_MS = 5;

export interface HeldPull {
  connection: ServerConnection;
  request: PullRequest;
  /** First offset that was not looked at: what the consumer wants, or behind what a filter refused. */
  offset: number;
  tagCodes: ReadonlySet<number> | undefined;
  /** Monotonic ms. */
  deadlineMs: number;
}

type Queues = Map<number, HeldPull[]>;

export class HeldPulls implements PullHolder {
  readonly #clock: Clock;
  /** Answers a pull; only one that a message woke may be held again, and only by a filter. */
  readonly #answer: (pull: HeldPull, isLast: boolean) => void;
  readonly #topics = new Map<string, Queues>();
  #ready: { pull: HeldPull; isLast: boolean }[] = [];
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, answer: (pull: HeldPull, isLast: boolean) => void) {
    this.#clock = clock;
    this.#answer = answer;
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
    this.#run(Number.POSITIVE_INFINITY);
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
    if (this.#ready.length === 0) queueMicrotask(this.#turn);
    this.#ready.push({ pull, isLast });
  }

  readonly #turn = (): void => this.#run(this.#clock.monotonicMs() + TURN_MS);

  /** Answers in the order of waking, at least one; what is left has the next turn. */
  #run(untilMs: number): void {
    const ready = this.#ready;
    this.#ready = [];
    let done = 0;
    while (done < ready.length) {
      const { pull, isLast } = ready[done++]!;
      if (pull.connection.isOpen) this.#answer(pull, isLast);
      if (done < ready.length && this.#clock.monotonicMs() >= untilMs) break;
    }
    if (done === ready.length) return;
    this.#ready = ready.slice(done).concat(this.#ready);
    setImmediate(this.#turn);
  }
}
