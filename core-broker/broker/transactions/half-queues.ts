// The half queue and the op queue as the check reads them: single records, or where the next one is.
// Retention may have cut both; a hole is a position to go on from, never an error.
// Source: TransactionalMessageBridge.getMessage, behaviour only.
import {
  type DecodedRecord,
  decodeRecord,
  decodeRecords,
  Group,
  Topic,
} from '../../protocol/index.ts';
import type { MessageStore, QueueRef } from '../../store/index.ts';
import type { ConsumerOffsets } from '../metadata/index.ts';

const OPS_PER_READ = 32;
/** Store times of neighbours may go back by less than this. */
const CLOCK_STEP_MS = 1_000;
const OPS_BYTES_MAX = 1024 * 1024;

/** What stands at a position: nothing yet, a hole up to `next`, or records before `next`. */
export interface QueueRead {
  records: DecodedRecord[];
  /** Where to go on; the position itself at the end of the queue. */
  next: number;
}

/** Positions of the check, as CID_RMQ_SYS_TRANS in consumerOffset.json. */
export interface WalkPosition {
  half: number;
  op: number;
}

/** What one walk needs of the store; a test gives its own. */
export interface HalfQueues {
  half(offset: number): QueueRead;
  ops(offset: number): QueueRead;
  position(): WalkPosition;
  advance(to: WalkPosition): void;
}

export class StoredHalfQueues implements HalfQueues {
  readonly #store: MessageStore;
  readonly #offsets: ConsumerOffsets;
  readonly #half: QueueRef;
  readonly #op: QueueRef;

  constructor(store: MessageStore, offsets: ConsumerOffsets, queueId: number) {
    this.#store = store;
    this.#offsets = offsets;
    this.#half = { topic: Topic.TRANS_HALF, queueId };
    this.#op = { topic: Topic.TRANS_OP_HALF, queueId };
  }

  half(offset: number): QueueRead {
    const limit = { messagesMax: 1, bytesMax: 1, tagCodes: undefined };
    const read = this.#store.pull(this.#half, offset, limit);
    if (read.status !== 'FOUND')
      return { records: [], next: Math.max(read.nextBeginOffset, offset) };
    return { records: [decodeRecord(Buffer.concat(read.chunks))], next: read.nextBeginOffset };
  }

  ops(offset: number): QueueRead {
    const limit = { messagesMax: OPS_PER_READ, bytesMax: OPS_BYTES_MAX, tagCodes: undefined };
    const read = this.#store.pull(this.#op, offset, limit);
    if (read.status !== 'FOUND')
      return { records: [], next: Math.max(read.nextBeginOffset, offset) };
    return { records: decodeRecords(Buffer.concat(read.chunks)), next: read.nextBeginOffset };
  }

  position(): WalkPosition {
    return { half: this.#positionOf(this.#half), op: this.#positionOf(this.#op) };
  }

  advance(to: WalkPosition): void {
    this.#commit(this.#half, to.half);
    this.#commit(this.#op, to.op);
  }

  /**
   * Brings stored offsets back into the queues. After a failover without proof they may stand behind the
   * end: messages that come to lie below them would never be checked.
   */
  clamp(): void {
    for (const queue of [this.#half, this.#op]) this.#commit(queue, this.#positionOf(queue));
  }

  /**
   * Goes back to what was stored within `windowMs` of the newest half message, in both queues.
   * @returns the position in the half queue before
   */
  stepBack(windowMs: number): number {
    const { half, op } = this.position();
    const { min, max } = this.#store.bounds(this.#half) ?? { min: 0, max: 0 };
    if (max === min || half === min) return half;
    const newestMs = this.#store.storeTimeOf(this.#half, max - 1);
    const found = this.#store.offsetByTime(this.#half, newestMs - windowMs);
    const from = Math.max(Math.min(half, found), min);
    const fromMs = this.#store.storeTimeOf(this.#half, Math.min(from, max - 1)) - CLOCK_STEP_MS;
    const hasOps = this.#store.bounds(this.#op) !== undefined;
    const opFrom = hasOps ? Math.min(op, this.#store.offsetByTime(this.#op, fromMs)) : op;
    this.advance({ half: from, op: opFrom });
    return half;
  }

  /** Positions in the half queue that are not settled yet or not known to be. */
  backlog(): number {
    const max = this.#store.bounds(this.#half)?.max ?? 0;
    return Math.max(max - this.#positionOf(this.#half), 0);
  }

  #positionOf(queue: QueueRef): number {
    const { min, max } = this.#store.bounds(queue) ?? { min: 0, max: 0 };
    const stored = this.#offsets.query({ ...queue, group: Group.SYS_TRANS });
    return stored < 0 ? min : Math.min(stored, max);
  }

  #commit(queue: QueueRef, offset: number): void {
    const key = { ...queue, group: Group.SYS_TRANS };
    if (this.#offsets.query(key) === offset) return;
    // Why: the walk is the only reader of this group; reading here is what spends a bound.
    this.#offsets.boundFor(key, 0);
    this.#offsets.commit(key, offset);
  }
}
