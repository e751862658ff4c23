// One round of the check over one half queue: every half message from the stored position is settled (an
// op says so), checked back (put again at the end with one more TRANSACTION_CHECK_TIMES and asked about),
// kept (put again, still immune), given up (checked too often, too old), or young: the round ends there.
// All ops are read before a message is judged, so a settled one is never asked about. Steps of a few
// dozen messages run in one tick each; in between what they appended becomes durable, and only then
// positions move and producers are asked. A crash in between checks again, it never forgets.
// Source: TransactionalMessageServiceImpl.check, behaviour only; differences: docs/divergence.md.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import { type DecodedRecord, Property, parseMessageProperties } from '../../protocol/index.ts';
import { HalfCopies } from './half-copies.ts';
import type { HalfQueues } from './half-queues.ts';
import { OpBook } from './op-book.ts';

const log = createLog('broker');

/** Half messages looked at in one tick, and bytes put again in it. */
const STEP_MESSAGES = 64;
const STEP_BYTES = 1024 * 1024;
/** A round ends after this, ms; the next one goes on. */
export const ROUND_MS_MAX = 60_000;

export interface WalkRules {
  /** Age from which a message is asked about, ms. */
  timeoutMs: number;
  checkMax: number;
  /** Age from which it is given up, ms. */
  reservedMs: number;
}

export interface HalfMessage {
  record: DecodedRecord;
  properties: Map<string, string>;
}

/** Where a half message stands after it was put again. */
export interface PutAgain {
  queueOffset: number;
  physicalOffset: number;
  /** End of the record in the log. */
  end: number;
}

/** What the walk does to the world; all but durable() take effect in the same tick. */
export interface WalkActions {
  /** Queues show everything appended so far. */
  dispatched(): Promise<void>;
  durable(end: number): Promise<void>;
  putAgain(half: HalfMessage): PutAgain;
  giveUp(half: HalfMessage): { end: number };
  /** Asks a producer; called when the new record is durable. */
  ask(half: HalfMessage, at: PutAgain): void;
  /** Settled here, its op not yet in the log. */
  isPending(halfOffset: number): boolean;
}

export interface WalkOptions {
  queues: HalfQueues;
  actions: WalkActions;
  rules: () => WalkRules;
  clock: Clock;
}

export interface RoundCounts {
  asked: number;
  kept: number;
  givenUp: number;
  /** The first one that was given up. */
  firstGivenUp?: { why: string; realTopic: string; halfOffset: number };
}

/** What is in hand during one round. */
interface Round extends RoundCounts {
  startMs: number;
  at: number;
  ops: OpBook;
  /** End of what this step appended; 0 = nothing. */
  end: number;
  stepBytes: number;
  questions: { half: HalfMessage; put: PutAgain }[];
}

type Verdict = 'settled' | 'young' | 'keep' | 'ask' | 'checked too often' | 'too old';

export class HalfWalk {
  readonly #options: WalkOptions;
  /** Settled originals of messages that were put again: their copies need no check. */
  readonly #late = new Set<number>();

  /** Below it everything was walked before, and what was put again stands behind. */
  #walkedBefore = 0;
  #copies: HalfCopies | undefined;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  /** The stored position was moved back from `end`: what has a copy behind it is passed. */
  walkAgain(end: number): void {
    this.#walkedBefore = end;
    this.#copies = undefined;
  }

  /**
   * Runs one round. @param isWanted false: stop before the next append or move
   * @throws what the store throws; positions stand where they were after the last whole step
   */
  async round(isWanted: () => boolean): Promise<RoundCounts> {
    const { queues, actions, clock } = this.#options;
    const position = queues.position();
    const round: Round = {
      startMs: clock.nowMs(),
      at: position.half,
      ops: new OpBook(queues, position.op, this.#late),
      end: 0,
      stepBytes: 0,
      questions: [],
      asked: 0,
      kept: 0,
      givenUp: 0,
    };
    if (position.half < this.#walkedBefore && this.#copies === undefined) {
      const copies = new HalfCopies(queues, position.half);
      while (copies.readMore()) {
        await actions.dispatched();
        if (!isWanted()) return round;
      }
      this.#copies = copies;
    }
    const untilMs = clock.monotonicMs() + ROUND_MS_MAX;
    for (let hasMore = true; hasMore && clock.monotonicMs() <= untilMs; ) {
      await actions.dispatched();
      if (!isWanted()) return round;
      hasMore = this.#step(round);
      if (round.end > 0) await actions.durable(round.end);
      if (!isWanted()) return round;
      this.#finishStep(round);
    }
    return round;
  }

  #finishStep(round: Round): void {
    const { queues, actions } = this.#options;
    queues.advance({ half: round.at, op: round.ops.position });
    for (const { half, put } of round.questions) actions.ask(half, put);
    round.asked += round.questions.length;
    round.questions = [];
    round.end = 0;
    round.stepBytes = 0;
  }

  /** One tick of work; false when the round is over. */
  #step(round: Round): boolean {
    for (let i = 0; i < STEP_MESSAGES && round.stepBytes < STEP_BYTES; i++) {
      if (round.ops.take(round.at)) {
        round.at++;
        continue;
      }
      const { records, next } = this.#options.queues.half(round.at);
      const record = records[0];
      if (record === undefined) {
        if (next <= round.at) return false;
        log.warn('transaction.gap', 'half messages were deleted before they were settled', {
          fromOffset: round.at,
          toOffset: next,
        });
        round.at = next;
      } else if (!this.#treat(round, record)) return false;
      else round.at++;
    }
    return true;
  }

  /** False when the message must wait, and with it all behind it. */
  #treat(round: Round, record: DecodedRecord): boolean {
    const half: HalfMessage = { record, properties: parseMessageProperties(record.properties) };
    const verdict = this.#judge(round, half);
    if (verdict === 'young') return false;
    if (verdict === 'settled') return true;
    round.stepBytes += record.sizeBytes;
    if (verdict === 'keep') this.#keep(round, half);
    else if (verdict === 'ask') this.#ask(round, half);
    else this.#giveUp(round, half, verdict);
    return true;
  }

  #judge(round: Round, { record, properties }: HalfMessage): Verdict {
    const { actions, rules, clock } = this.#options;
    if (actions.isPending(record.queueOffset)) return 'settled';
    const isKnown = record.queueOffset < this.#walkedBefore;
    if (isKnown && this.#copies?.isBehind(record, properties)) return 'settled';
    const original = numberOf(properties.get(Property.TRAN_PREPARED_QUEUE_OFFSET));
    if (original !== undefined && (this.#late.has(original) || actions.isPending(original))) {
      return 'settled';
    }
    const { timeoutMs, checkMax, reservedMs } = rules();
    const ageMs = clock.nowMs() - record.bornTimestampMs;
    const times = properties.get(Property.TRANSACTION_CHECK_TIMES);
    if (times !== undefined && (numberOf(times) ?? -1) >= checkMax) return 'checked too often';
    if (ageMs > reservedMs) return 'too old';
    if (record.storeTimestampMs >= round.startMs) return 'young';
    const immunity = properties.get(Property.CHECK_IMMUNITY_TIME_IN_SECONDS);
    if (immunity === undefined) return ageMs >= 0 && ageMs <= timeoutMs ? 'young' : 'ask';
    const immuneMs = (numberOf(immunity) ?? timeoutMs / 1_000) * 1_000;
    return ageMs <= immuneMs ? 'keep' : 'ask';
  }

  /** Put again unchanged, so that those behind it can be looked at. */
  #keep(round: Round, half: HalfMessage): void {
    const { properties, record } = half;
    if (!properties.has(Property.TRAN_PREPARED_QUEUE_OFFSET)) {
      properties.set(Property.TRAN_PREPARED_QUEUE_OFFSET, String(record.queueOffset));
    }
    round.end = this.#options.actions.putAgain(half).end;
    round.kept++;
  }

  #ask(round: Round, half: HalfMessage): void {
    const { properties } = half;
    const before = properties.get(Property.TRANSACTION_CHECK_TIMES);
    const times = before === undefined ? 1 : (numberOf(before) ?? -1) + 1;
    properties.set(Property.TRANSACTION_CHECK_TIMES, String(times));
    try {
      const put = this.#options.actions.putAgain(half);
      round.end = put.end;
      round.questions.push({ half, put });
    } catch (reason) {
      // A count that no longer fits into the properties must not stop the queue.
      if (!DrError.is(reason, 'USAGE')) throw reason;
      this.#giveUp(
        round,
        { ...half, properties: parseMessageProperties(half.record.properties) },
        'too large',
      );
    }
  }

  #giveUp(round: Round, half: HalfMessage, why: string): void {
    const { record, properties } = half;
    round.end = this.#options.actions.giveUp(half).end;
    round.givenUp++;
    const realTopic = properties.get(Property.REAL_TOPIC) ?? '';
    round.firstGivenUp ??= { why, realTopic, halfOffset: record.queueOffset };
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}
