// How far behind the end of the log each queue is read, in bytes: a reader that is far behind reads from
// disk what others read from memory. Clients are told which broker to ask (only where slaves may be read),
// and, where the operator wants that, a group that is too far behind is switched off.
// Invariant: with both settings off, as by default, nothing is kept. Source: BrokerController
// .protectBroker, PullMessageProcessor.composeResponseHeader, behaviour only.
import * as os from 'node:os';
import { createLog } from '../../base/index.ts';
import { RecordOffset, readInt64, type SubscriptionGroupConfig } from '../../protocol/index.ts';
import type { PullResult, QueueRef } from '../../store/index.ts';
import type { GroupTable } from '../metadata/index.ts';

const log = createLog('pull');

/** Apache's MASTER_ID. */
const MASTER = 0;
/** Groups and queues remembered; more are not looked after. */
const READERS_MAX = 100_000;

export interface SlowReadersOptions {
  config: {
    slaveReadEnable: boolean;
    accessMessageInMemoryMaxRatio: number;
    disableConsumeIfConsumerReadSlowly: boolean;
    consumerFallbehindThreshold: number;
  };
  groups: GroupTable;
  logEnd: () => number;
  /** Bytes of memory of the machine. */
  memoryBytes?: number;
}

export class SlowReaders {
  readonly #options: SlowReadersOptions;
  readonly #memoryBytes: number;
  /** group -> topic@queue -> bytes. */
  readonly #behind = new Map<string, Map<string, number>>();
  #count = 0;

  constructor(options: SlowReadersOptions) {
    this.#options = options;
    this.#memoryBytes = options.memoryBytes ?? os.totalmem();
  }

  /** Notes what a pull gave. @returns the id of the broker to ask next */
  seen(group: SubscriptionGroupConfig, queue: QueueRef, result: PullResult): number {
    const { config } = this.#options;
    if (!config.slaveReadEnable && !config.disableConsumeIfConsumerReadSlowly) return MASTER;
    const behind = this.#behindBytes(result);
    if (behind !== undefined) this.#note(group.groupName, queue, behind);
    if (!config.slaveReadEnable) return MASTER;
    const slowBytes = (this.#memoryBytes * config.accessMessageInMemoryMaxRatio) / 100;
    return (behind ?? 0) > slowBytes ? group.whichBrokerWhenConsumeSlowly : group.brokerId;
  }

  /** Switches off the groups that are too far behind; durable on return. */
  protect(): void {
    const { config, groups } = this.#options;
    if (!config.disableConsumeIfConsumerReadSlowly) {
      this.#behind.clear();
      this.#count = 0;
      return;
    }
    for (const [name, queues] of this.#behind) {
      const behindBytes = Math.max(...queues.values());
      const group = groups.find(name);
      if (!group?.consumeEnable || behindBytes <= config.consumerFallbehindThreshold) continue;
      log.warn('reader.disabled', 'a group is too far behind: switched off', { name, behindBytes });
      groups.put({ ...group, consumeEnable: false });
    }
  }

  /** undefined = the pull says nothing about it. */
  #behindBytes({ chunks, status }: PullResult): number | undefined {
    if (status === 'OFFSET_OVERFLOW_ONE') return 0;
    const first = chunks[0];
    if (first === undefined || first.length < RecordOffset.SYS_FLAG) return undefined;
    return this.#options.logEnd() - readInt64(first, RecordOffset.PHYSICAL_OFFSET);
  }

  #note(group: string, queue: QueueRef, bytes: number): void {
    const key = `${queue.topic}@${queue.queueId}`;
    const queues = this.#behind.get(group) ?? new Map<string, number>();
    if (!queues.has(key)) {
      if (this.#count >= READERS_MAX) return;
      this.#count++;
    }
    queues.set(key, bytes);
    this.#behind.set(group, queues);
  }
}
