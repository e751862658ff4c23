// Delivers delayed messages when they are due: one queue of SCHEDULE_TOPIC_XXXX per level, in order.
// Each 100 ms every level looks at its next record; what is due is appended to its real topic.
// Order: append -> durable -> delay offset moves. A crash in between delivers again, never skips.
// Only the active side runs; a standby's queues belong to the link. A failing level waits 10 s.
// Source: RocketMQ ScheduleMessageService, behaviour only.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import {
  type DecodedRecord,
  decodeRecords,
  Property,
  parseMessageProperties,
  Topic,
} from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { DelayOffsets } from '../metadata/index.ts';
import type { ScheduleService } from '../parts.ts';
import { copyAt, type MessageWriter } from '../writing/index.ts';

const SCAN_MS = 100;
const PAUSE_AFTER_ERROR_MS = 10_000;
const BATCH = { messagesMax: 32, bytesMax: 1024 * 1024, tagCodes: undefined };

const log = createLog('broker');

export interface ScheduleOptions {
  store: MessageStore;
  delays: DelayOffsets;
  writer: MessageWriter;
  clock: Clock;
  /** Delay of each level, ms; index 0 is level 1. */
  levelsMs: readonly number[];
}

interface Level {
  readonly number: number;
  readonly delayMs: number;
  isBusy: boolean;
  /** Not looked at before this monotonic time. */
  pausedUntilMs: number;
}

export class DelayDelivery implements ScheduleService {
  readonly #options: ScheduleOptions;
  readonly #levels: Level[];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#levels = options.levelsMs.map((delayMs, index) => ({
      number: index + 1,
      delayMs,
      isBusy: false,
      pausedUntilMs: 0,
    }));
  }

  start(): void {
    if (this.#timer) return;
    this.#timer = setInterval(() => this.#scan(), SCAN_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #scan(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const level of this.#levels) {
      if (level.isBusy || level.pausedUntilMs > nowMs || !this.#hasMore(level)) continue;
      level.isBusy = true;
      this.#deliver(level)
        .catch((reason: unknown) => this.#pause(level, DrError.from(reason)))
        .finally(() => {
          level.isBusy = false;
        });
    }
  }

  #hasMore(level: Level): boolean {
    const bounds = this.#options.store.bounds(queueOf(level));
    return bounds !== undefined && bounds.max > this.#options.delays.get(level.number);
  }

  /** Delivers due messages until the next one is not due or the service stops. */
  async #deliver(level: Level): Promise<void> {
    const { store, delays } = this.#options;
    while (this.#timer) {
      const from = this.#firstOffset(level);
      const batch = store.pull(queueOf(level), from, BATCH);
      if (batch.status !== 'FOUND') {
        if (batch.nextBeginOffset > from) delays.set(level.number, batch.nextBeginOffset);
        return;
      }
      const records = decodeRecords(Buffer.concat(batch.chunks));
      const due = records.filter((record) => this.#isDue(record, level));
      const { end, count, failure } = this.#appendAll(due);
      if (count > 0) await store.durable(end);
      const last = due[count - 1];
      if (last) delays.set(level.number, last.queueOffset + 1);
      if (failure) throw failure;
      if (due.length < records.length || !last) return;
    }
  }

  /** Retention may have removed what was not delivered for days. */
  #firstOffset(level: Level): number {
    const min = this.#options.store.bounds(queueOf(level))?.min ?? 0;
    const stored = this.#options.delays.get(level.number);
    if (stored >= min) return stored;
    log.error('schedule.gap', 'delayed messages were deleted before their delivery', {
      level: level.number,
      fromOffset: stored,
      toOffset: min,
    });
    return min;
  }

  #isDue(record: DecodedRecord, level: Level): boolean {
    return record.storeTimestampMs + level.delayMs <= this.#options.clock.nowMs();
  }

  /** Appends in order until the store refuses: what went in before must not come again. */
  #appendAll(records: DecodedRecord[]): { end: number; count: number; failure?: DrError } {
    let end = 0;
    for (const [count, record] of records.entries()) {
      try {
        end = Math.max(end, this.#append(record));
      } catch (reason) {
        return { end, count, failure: DrError.from(reason) };
      }
    }
    return { end, count: records.length };
  }

  /** @returns the end of the delivered message, 0 when there is nowhere to deliver it to */
  #append(record: DecodedRecord): number {
    const properties = parseMessageProperties(record.properties);
    const topic = properties.get(Property.REAL_TOPIC);
    if (topic === undefined) {
      const { physicalOffset } = record;
      log.error('schedule.orphan', 'a delayed message names no real topic and stays undelivered', {
        physicalOffset,
      });
      return 0;
    }
    const result = this.#options.writer.append(
      copyAt(record, {
        topic: this.#options.store.topic(topic),
        queueId: Number(properties.get(Property.REAL_QID) ?? 0),
        properties: record.properties,
      }),
    );
    return result.physicalOffset + result.sizeBytes;
  }

  #pause(level: Level, reason: DrError): void {
    level.pausedUntilMs = this.#options.clock.monotonicMs() + PAUSE_AFTER_ERROR_MS;
    log.warn('schedule.paused', 'delivery of delayed messages failed; trying again', {
      level: level.number,
      code: reason.code,
      error: reason.message,
      retryMs: PAUSE_AFTER_ERROR_MS,
    });
  }
}

const queueOf = (level: Level) => ({ topic: Topic.SCHEDULE, queueId: level.number - 1 });
