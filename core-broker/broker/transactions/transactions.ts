// The check of open transactions: each transactionCheckInterval a walk over every half queue, on the
// active side only. What it knows stands in the log and in the offsets of CID_RMQ_SYS_TRANS, so a side
// that was promoted or restarted, or took over a store of a stock broker, goes on where the last one was.
// Source: TransactionalMessageCheckService, AbstractTransactionalMessageCheckListener, behaviour only.
import { setImmediate } from 'node:timers/promises';
import { type Clock, createLog, DrError } from '../../base/index.ts';
import { Property, Topic } from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { ProducerTable } from '../clients/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { Creation, MetadataTables } from '../metadata/index.ts';
import type { ScheduleService } from '../parts.ts';
import type { BrokerStats } from '../stats/index.ts';
import type { MessageWriter } from '../writing/index.ts';
import { checkRequest } from './check-request.ts';
import { draftOf } from './half-drafts.ts';
import { StoredHalfQueues } from './half-queues.ts';
import {
  type HalfMessage,
  HalfWalk,
  type PutAgain,
  ROUND_MS_MAX,
  type WalkActions,
} from './half-walk.ts';
import { OpWriter } from './op-writer.ts';

const log = createLog('broker');
const HOUR_MS = 3_600_000;
/** A producer with more unread bytes than this is not asked. */
const UNREAD_BYTES_MAX = 1024 * 1024;

export interface TransactionsOptions {
  config: BrokerConfig;
  clock: Clock;
  store: MessageStore;
  tables: MetadataTables;
  creation: Creation;
  writer: MessageWriter;
  producers: ProducerTable;
  stats: BrokerStats;
  /** Advertised address in record form. */
  storeHost: Buffer;
}

interface QueueWalk {
  queues: StoredHalfQueues;
  walk: HalfWalk;
}

export class Transactions implements ScheduleService {
  readonly ops: OpWriter;
  readonly #options: TransactionsOptions;
  readonly #walks = new Map<number, QueueWalk>();
  #timer: NodeJS.Timeout | undefined;
  /** Differs after every start and stop: what an older one began ends at its next step. */
  #run = 0;
  #isRunning = false;
  #isWalking = false;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.ops = new OpWriter(options);
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run++;
    for (const each of this.#queueWalks()) this.#place(each);
    this.#arm();
  }

  stop(): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#run++;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.ops.stop();
    this.#walks.clear();
  }

  /** An operator changed the interval: the wait begins anew, so that an hour is not waited out. */
  rearm(): void {
    // Without a timer a round is under way; the next wait is the new one anyway.
    if (!this.#isRunning || this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#arm();
  }

  /** Positions of half queues that are not settled yet or not known to be. */
  backlog(): number {
    let sum = 0;
    for (let id = 0; id < this.#queueCount(); id++) sum += this.#queuesOf(id).backlog();
    return sum;
  }

  /** One round over all half queues; none while another one runs. */
  async check(): Promise<void> {
    const run = this.#run;
    if (!this.#isRunning || this.#isWalking) return;
    this.#isWalking = true;
    try {
      for (const { walk } of this.#queueWalks()) await this.#walk(walk, () => this.#run === run);
    } catch (reason) {
      const { code, message } = DrError.from(reason);
      log.warn('transaction.check-failed', 'open transactions were not all checked; trying again', {
        code,
        error: message,
      });
    } finally {
      this.#isWalking = false;
    }
  }

  async #walk(walk: HalfWalk, isWanted: () => boolean): Promise<void> {
    const { asked, kept, givenUp, firstGivenUp } = await walk.round(isWanted);
    if (asked + kept + givenUp === 0 || !isWanted()) return;
    log.info('transaction.checked', 'open transactions were checked', { asked, kept, givenUp });
    if (givenUp > 0) {
      log.error('transaction.given-up', 'half messages that nobody settled are kept aside', {
        givenUp,
        topic: Topic.TRANS_CHECK_MAX_TIME,
        ...firstGivenUp,
      });
    }
    // Why now: after a crash an older position would check the same messages again.
    this.#options.tables.offsets.save();
  }

  /** Where the walk begins; a damaged record must not keep a region from being promoted. */
  #place({ queues, walk }: QueueWalk): void {
    queues.clamp();
    const wasPromoted = this.#options.store.guard.state.epoch > 1;
    if (!wasPromoted) return;
    try {
      walk.walkAgain(queues.stepBack(this.#stepBackMs()));
    } catch (reason) {
      const { code, message } = DrError.from(reason);
      log.error('transaction.not-again', 'transactions open at the old side may be missed', {
        code,
        error: message,
      });
    }
  }

  /** An open message was put again in the last round before whatever came over last. */
  #stepBackMs(): number {
    const { transactionCheckInterval, transactionTimeOut } = this.#options.config;
    return 2 * Math.max(transactionCheckInterval, ROUND_MS_MAX) + transactionTimeOut + ROUND_MS_MAX;
  }

  #arm(): void {
    const run = this.#run;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.check().then(() => {
        if (this.#run === run) this.#arm();
      });
    }, this.#options.config.transactionCheckInterval);
  }

  #queueCount(): number {
    return this.#options.tables.topics.find(Topic.TRANS_HALF)?.config.readQueueNums ?? 0;
  }

  #queueWalks(): QueueWalk[] {
    const count = this.#queueCount();
    for (let id = this.#walks.size; id < count; id++) this.#walks.set(id, this.#newWalk(id));
    return [...this.#walks.values()];
  }

  #queuesOf(queueId: number): StoredHalfQueues {
    const { store, tables } = this.#options;
    return this.#walks.get(queueId)?.queues ?? new StoredHalfQueues(store, tables.offsets, queueId);
  }

  #newWalk(queueId: number): QueueWalk {
    const { config, clock } = this.#options;
    const queues = this.#queuesOf(queueId);
    const rules = () => ({
      timeoutMs: config.transactionTimeOut,
      checkMax: config.transactionCheckMax,
      reservedMs: config.fileReservedTime * HOUR_MS,
    });
    const walk = new HalfWalk({ queues, actions: this.#actions(queueId), rules, clock });
    return { queues, walk };
  }

  #actions(queueId: number): WalkActions {
    const { store } = this.#options;
    return {
      dispatched: async () => {
        // Why: rounds of many steps must let sockets have their turn.
        await setImmediate();
        await store.dispatched();
      },
      durable: (end) => store.durable(end),
      putAgain: (half) => this.#putAgain(half, queueId),
      giveUp: (half) => this.#giveUp(half),
      ask: (half, at) => this.#ask(half, at),
      isPending: (offset) => this.ops.isPending(queueId, offset),
    };
  }

  #putAgain(half: HalfMessage, queueId: number): PutAgain {
    const { store, writer } = this.#options;
    const result = writer.append(draftOf(half, { topic: store.topic(Topic.TRANS_HALF), queueId }));
    const { queueOffset, physicalOffset, sizeBytes } = result;
    return { queueOffset, physicalOffset, end: physicalOffset + sizeBytes };
  }

  /** Into TRANS_CHECK_MAX_TIME_TOPIC, where code 323 can fetch it back from. */
  #giveUp(half: HalfMessage): { end: number } {
    const { store, writer, creation, stats } = this.#options;
    creation.ownTopic(Topic.TRANS_CHECK_MAX_TIME);
    const topic = store.topic(Topic.TRANS_CHECK_MAX_TIME);
    const result = writer.append(draftOf(half, { topic, queueId: 0 }));
    stats.transactions.givenUp++;
    return { end: result.physicalOffset + result.sizeBytes };
  }

  #ask(half: HalfMessage, at: PutAgain): void {
    const { producers, stats, config, storeHost } = this.#options;
    stats.transactions.checks++;
    const group = half.properties.get(Property.PGROUP) ?? '';
    const channel = producers.next(group, UNREAD_BYTES_MAX);
    if (channel === undefined) {
      stats.transactions.unasked++;
      return;
    }
    channel.connection.notify(checkRequest(half, at, { brokerName: config.brokerName, storeHost }));
  }
}
