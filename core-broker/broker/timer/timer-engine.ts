// The work of the timers between one start and one stop: reads the timer queue into the wheel, hands
// out the slots that are due, notes how far it came. Each call does a bounded piece.
//   timer queue --enqueue--> timer log + wheel --dequeue--> real topics
// Order: record appended -> log on disk -> times in the checkpoint. A crash in between leaves a time
// that nobody wrote down; what was due in it is looked up in the log at the next start.
// Invariant: #doneMs never passes a slot of which a message is not appended; a message whose slot is
// closed is delivered at once, never put there. Source: RocketMQ TimerMessageStore, behaviour only.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import {
  type DecodedRecord,
  decodeRecord,
  decodeRecords,
  javaHashCode,
} from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import { copyAt, type MessageWriter } from '../writing/index.ts';
import { type Slot, type TimerCheckpoint, type TimerUnit, UnitMagic } from './files/index.ts';
import { PastDeliveries } from './past-deliveries.ts';
import { isDelete, isRoll, SlotJob } from './slot-job.ts';
import { floorTo, TIMER_QUEUE, type TimerBooks, type TimerStart } from './timer-books.ts';
import { delivered, readTimerMessage, rolled, type TimerMessage } from './timer-message.ts';

const BATCH = { messagesMax: 128, bytesMax: 1024 * 1024, tagCodes: undefined };
/** About 1 ms: what sends may have to wait for. */
const DELIVERIES_PER_TURN = 128;

const log = createLog('broker');

export interface EngineOptions {
  store: MessageStore;
  writer: MessageWriter;
  clock: Clock;
  precisionMs: number;
  rollWindowSlots: number;
  /** TIMER_DEL_UNIQKEY holds `topic+key`, not the key alone. */
  hasTopicInDeleteKey: () => boolean;
}

export interface TimerCounts {
  enqueued: number;
  dequeued: number;
}

export class TimerEngine {
  readonly counts: TimerCounts = { enqueued: 0, dequeued: 0 };
  readonly #options: EngineOptions;
  readonly #books: TimerBooks;
  readonly #start: TimerStart;
  readonly #past: PastDeliveries;
  /** The one it was opened under: a late save never speaks for the next. */
  readonly #epoch: number;
  #queueOffset: number;
  /** Slots before it are delivered. */
  #doneMs: number;
  #job: SlotJob | undefined;

  constructor(options: EngineOptions, books: TimerBooks, start: TimerStart) {
    this.#options = options;
    this.#books = books;
    this.#epoch = options.store.guard.state.epoch;
    this.#start = start;
    this.#past = new PastDeliveries(options.store, start);
    this.#queueOffset = start.queueOffset;
    this.#doneMs = start.readTimeMs;
  }

  get readTimeMs(): number {
    return this.#doneMs;
  }
  get queueOffset(): number {
    return this.#queueOffset;
  }
  /** What was there at the start is in the wheel: slots may be handed out. */
  get hasCaughtUp(): boolean {
    return this.#queueOffset >= this.#start.doubtQueueEnd;
  }
  /** Messages that are due and wait for their turn. */
  get due(): number {
    const inJob = this.#job?.left ?? 0;
    const until = floorTo(this.#options.clock.nowMs(), this.#options.precisionMs);
    const inSlots = this.#books.wheel.countBefore(until);
    return (
      inSlots - (this.#job ? (this.#books.wheel.get(this.#job.timeMs)?.count ?? 0) : 0) + inJob
    );
  }

  /** Records of the timer queue that are not in the wheel. */
  get behind(): number {
    return Math.max(0, (this.#options.store.bounds(TIMER_QUEUE)?.max ?? 0) - this.#queueOffset);
  }

  /** Takes the next records of the timer queue. @returns false when there were none */
  async enqueue(): Promise<boolean> {
    const { store } = this.#options;
    const from = this.#firstOffset();
    const batch = store.pull(TIMER_QUEUE, from, BATCH);
    if (batch.status !== 'FOUND') {
      const isPast = batch.nextBeginOffset > from && batch.nextBeginOffset <= batch.maxOffset;
      if (isPast) this.#queueOffset = batch.nextBeginOffset;
      return isPast;
    }
    for (const record of decodeRecords(Buffer.concat(batch.chunks))) {
      await this.#take(record);
      this.#queueOffset = record.queueOffset + 1;
    }
    return true;
  }

  /** Retention may have removed what was not read for days. */
  #firstOffset(): number {
    const min = this.#options.store.bounds(TIMER_QUEUE)?.min ?? 0;
    if (this.#queueOffset >= min) return this.#queueOffset;
    log.error('timer.gap', 'timer messages were deleted before they were read', {
      fromOffset: this.#queueOffset,
      toOffset: min,
    });
    this.#queueOffset = min;
    return min;
  }

  async #take(record: DecodedRecord): Promise<void> {
    const message = readTimerMessage(record);
    if (message === undefined) {
      const { physicalOffset } = record;
      log.error('timer.orphan', 'a message of the timer topic has no time or no real topic', {
        physicalOffset,
      });
      return;
    }
    const slotMs = floorTo(message.dueMs, this.#options.precisionMs);
    const { trust, sureQueueOffset, readTimeMs } = this.#start;
    const isSure = trust === 'times' && record.queueOffset < sureQueueOffset;
    if (isSure && slotMs < readTimeMs) return;
    const closedMs = this.#job ? this.#job.timeMs + this.#options.precisionMs : this.#doneMs;
    if (slotMs < closedMs) await this.#deliverLate(message, slotMs);
    else await this.#park(message, slotMs);
    this.counts.enqueued++;
  }

  async #deliverLate(message: TimerMessage, slotMs: number): Promise<void> {
    if (message.deleteKey !== undefined) return;
    const isDoubtful = this.#past.isDoubtful(message.record.queueOffset, slotMs);
    if (isDoubtful && (await this.#past.wasDelivered(message))) return;
    this.#append(message, delivered(message, undefined, this.#options.clock.nowMs()));
    this.counts.dequeued++;
  }

  async #park(message: TimerMessage, dueSlotMs: number): Promise<void> {
    const { precisionMs, rollWindowSlots, clock } = this.#options;
    const { record } = message;
    const nowMs = floorTo(clock.nowMs(), precisionMs);
    const windowMs = rollWindowSlots * precisionMs;
    const isOld = record.queueOffset < this.#start.doubtQueueEnd && this.#start.trust !== 'whole';
    // It was put at its store time or later: no other can have been too far away then.
    const storedMs = floorTo(record.storeTimestampMs, precisionMs);
    const mayHaveRolled = isOld && dueSlotMs - storedMs >= windowMs;
    if (mayHaveRolled && (await this.#past.wasRolled(message))) return;
    const isRolling = dueSlotMs - nowMs >= windowMs;
    const slotMs = isRolling
      ? rollSlot(dueSlotMs - nowMs, { nowMs, precisionMs, rollWindowSlots })
      : dueSlotMs;
    const deletes = message.deleteKey !== undefined;
    const position = this.#books.log.append({
      previous: this.#books.wheel.get(slotMs)?.lastPos ?? -1,
      magic:
        UnitMagic.DEFAULT | (isRolling ? UnitMagic.ROLL : 0) | (deletes ? UnitMagic.DELETE : 0),
      enqueuedMs: nowMs,
      slotMs,
      physicalOffset: record.physicalOffset,
      sizeBytes: record.sizeBytes,
      topicHash: javaHashCode(message.topic),
    });
    this.#books.wheel.put(slotMs, position, deletes ? -1 : 1);
    this.#books.metrics.add(message.topic, deletes ? -1 : 1);
  }

  /** Hands out some of what is due. @returns false when nothing is */
  async dequeue(): Promise<boolean> {
    if (!this.hasCaughtUp) return false;
    const job = this.#job ?? this.#nextJob();
    if (job === undefined) return false;
    if (!job.load()) return true;
    for (let n = 0; n < DELIVERIES_PER_TURN; n++) {
      const unit = job.current;
      if (unit === undefined) {
        this.#finish(job);
        return true;
      }
      await this.#handOut(job, unit);
      job.done();
    }
    return true;
  }

  #nextJob(): SlotJob | undefined {
    const { clock, precisionMs } = this.#options;
    const { wheel } = this.#books;
    const until = floorTo(clock.nowMs(), precisionMs);
    if (this.#doneMs >= until) return undefined;
    const timeMs = wheel.next(this.#doneMs, until);
    this.#doneMs = timeMs ?? until;
    if (timeMs === undefined) return undefined;
    const { lastPos } = wheel.get(timeMs) as Slot;
    this.#job = new SlotJob(this.#books.log, timeMs, lastPos);
    return this.#job;
  }

  #finish(job: SlotJob): void {
    // What deleted nothing had been subtracted from its topic.
    for (const [key, topic] of job.deleteKeys) {
      if (!job.usedKeys.has(key)) this.#books.metrics.add(topic, 1);
    }
    this.#books.wheel.remove(job.timeMs);
    this.#doneMs = job.timeMs + this.#options.precisionMs;
    this.#job = undefined;
  }

  async #handOut(job: SlotJob, unit: TimerUnit): Promise<void> {
    const message = this.#messageOf(unit);
    if (message === undefined) return;
    if (isDelete(unit)) {
      if (message.deleteKey !== undefined) job.deleteKeys.set(message.deleteKey, message.topic);
      return;
    }
    if (job.deleteKeys.size > 0 && this.#isDeleted(job, message)) return;
    const roll = isRoll(unit);
    if (this.#past.isDoubtful(message.record.queueOffset, unit.slotMs)) {
      const past = roll ? this.#past.wasRolled(message) : this.#past.wasDelivered(message);
      if (await past) return;
    }
    const nowMs = this.#options.clock.nowMs();
    const target = (roll ? rolled : delivered)(message, unit.enqueuedMs, nowMs);
    this.#append(message, target);
    this.#books.metrics.add(message.topic, -1);
    this.counts.dequeued++;
  }

  #isDeleted(job: SlotJob, { uniqKey, topic }: TimerMessage): boolean {
    if (uniqKey === undefined) return false;
    const key = this.#options.hasTopicInDeleteKey() ? `${topic}+${uniqKey}` : uniqKey;
    if (!job.deleteKeys.has(key)) return false;
    // A resent message has the key of the first: both are dropped.
    job.usedKeys.add(key);
    return true;
  }

  /** @returns undefined when the record is gone or is another one: nothing can be delivered then */
  #messageOf(unit: TimerUnit): TimerMessage | undefined {
    try {
      const record = decodeRecord(this.#options.store.readRecord(unit.physicalOffset));
      const message = readTimerMessage(record);
      if (message !== undefined && record.sizeBytes === unit.sizeBytes) return message;
      throw new DrError('CORRUPT', 'the record is no timer message');
    } catch (reason) {
      const error = DrError.from(reason);
      if (!DrError.is(error, 'NOT_FOUND', 'CORRUPT')) throw error;
      log.error('timer.lost', 'a timer message cannot be read and stays undelivered', {
        physicalOffset: unit.physicalOffset,
        error: error.message,
      });
      return undefined;
    }
  }

  #append(
    { record }: TimerMessage,
    target: { topic: string; queueId: number; properties: string },
  ): void {
    const topic = this.#options.store.topic(target.topic);
    this.#options.writer.append(copyAt(record, { ...target, topic }));
  }

  /** Writes down how far it came; everything it speaks of is on disk before. */
  async save(before: TimerCheckpoint): Promise<TimerCheckpoint> {
    const { store, clock } = this.#options;
    const { wheel, metrics } = this.#books;
    const state = {
      readTimeMs: this.#doneMs,
      queueOffset: this.#queueOffset,
      flushedPos: this.#books.log.end,
      stateVersion: this.#epoch,
      timestampMs: clock.nowMs(),
      counter: before.counter + 1,
    };
    const changes = wheel.takeChanges();
    const { maxOffset, flushedOffset } = store.storeBounds();
    if (flushedOffset < maxOffset) await store.flush();
    await this.#books.log.sync();
    if (changes.length > 0) await wheel.write(changes);
    metrics.save();
    return state;
  }
}

/** A time within the wheel at which a message that is due far behind it is parked again. */
function rollSlot(
  delayMs: number,
  wheel: { nowMs: number; precisionMs: number; rollWindowSlots: number },
): number {
  const { nowMs, precisionMs, rollWindowSlots } = wheel;
  const beyondMs = delayMs - rollWindowSlots * precisionMs;
  const isNear = beyondMs < Math.floor(rollWindowSlots / 3) * precisionMs;
  const slots = isNear ? Math.floor(rollWindowSlots / 2) : rollWindowSlots;
  return nowMs + slots * precisionMs;
}
