// Op messages: "the half message at this queue offset is settled", in RMQ_SYS_TRANS_OP_HALF_TOPIC.
// With transactionOpBatchInterval 0 each op is appended in the same tick as what settles the message: its
// body is one decimal number, which brokers 4.9 and 5.x read, and a crash or a change of regions finds
// both or (a torn tail) none. With an interval ops are gathered as 5.x does: `12,13,`.
// Invariant: what could not be appended stays pending and is tried again; the check asks isPending.
// Source: TransactionalMessageServiceImpl.deletePrepareMessage, behaviour only.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import { formatMessageProperties, Property, Topic } from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { MessageWriter } from '../writing/index.ts';

const log = createLog('broker');

/** Tag of an op message: the half message is deleted. */
export const OP_TAG = 'd';
const OP_PROPERTIES = formatMessageProperties([[Property.TAGS, OP_TAG]]);
const AGAIN_MS = 1_000;

export interface OpWriterOptions {
  config: Pick<BrokerConfig, 'transactionOpBatchInterval' | 'transactionOpMsgMaxSize'>;
  store: Pick<MessageStore, 'topic'>;
  writer: Pick<MessageWriter, 'append'>;
  clock: Clock;
  /** Advertised address in record form. */
  storeHost: Buffer;
}

/** Settled half messages of one queue whose op is not yet in the log. */
interface PendingOps {
  offsets: Set<number>;
  bytes: number;
}

export class OpWriter {
  readonly #options: OpWriterOptions;
  readonly #pending = new Map<number, PendingOps>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OpWriterOptions) {
    this.#options = options;
  }

  /** @returns the end of the op in the log, or undefined when it follows later */
  settled(queueId: number, halfOffset: number): number | undefined {
    const { config } = this.#options;
    if (config.transactionOpBatchInterval === 0) {
      try {
        return this.#append(queueId, String(halfOffset));
      } catch (reason) {
        this.#warn(reason);
        this.#keep(queueId, halfOffset);
        this.#arm(AGAIN_MS);
        return undefined;
      }
    }
    const pending = this.#keep(queueId, halfOffset);
    if (pending.bytes >= config.transactionOpMsgMaxSize) this.#flushQueue(queueId, pending);
    else this.#arm(config.transactionOpBatchInterval);
    return undefined;
  }

  isPending(queueId: number, halfOffset: number): boolean {
    return this.#pending.get(queueId)?.offsets.has(halfOffset) ?? false;
  }

  /** Appends what is pending; what the store refuses stays. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      for (const [queueId, pending] of this.#pending) this.#flushQueue(queueId, pending);
    } catch (reason) {
      this.#warn(reason);
      this.#arm(AGAIN_MS);
    }
  }

  /** This side writes no more: what cannot be appended now is forgotten; the next one checks back. */
  stop(): void {
    if (this.#pending.size > 0) this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pending.clear();
  }

  #keep(queueId: number, halfOffset: number): PendingOps {
    const pending = this.#pending.get(queueId) ?? { offsets: new Set(), bytes: 0 };
    this.#pending.set(queueId, pending);
    pending.offsets.add(halfOffset);
    pending.bytes += String(halfOffset).length + 1;
    return pending;
  }

  #flushQueue(queueId: number, pending: PendingOps): void {
    const { transactionOpMsgMaxSize } = this.#options.config;
    while (pending.offsets.size > 0) {
      const taken: number[] = [];
      let body = '';
      for (const offset of pending.offsets) {
        if (body.length >= Math.max(transactionOpMsgMaxSize, 1)) break;
        taken.push(offset);
        body += `${offset},`;
      }
      this.#append(queueId, taken.length === 1 ? String(taken[0]) : body);
      for (const offset of taken) pending.offsets.delete(offset);
      pending.bytes -= body.length;
    }
    this.#pending.delete(queueId);
  }

  #append(queueId: number, body: string): number {
    const { store, writer, clock, storeHost } = this.#options;
    const result = writer.append({
      topic: store.topic(Topic.TRANS_OP_HALF),
      queueId,
      body: Buffer.from(body),
      properties: OP_PROPERTIES,
      bornTimestampMs: clock.nowMs(),
      bornHost: storeHost,
      flag: 0,
      sysFlag: 0,
      reconsumeTimes: 0,
    });
    return result.physicalOffset + result.sizeBytes;
  }

  #arm(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.flush();
    }, ms);
  }

  #warn(reason: unknown): void {
    const { code, message } = DrError.from(reason);
    log.warn('transaction.op-unwritten', 'a settled half message is not marked yet', {
      code,
      error: message,
    });
  }
}
