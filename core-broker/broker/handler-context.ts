// What the request handlers share. Each handler file exports one function that puts its handlers into
// the request table; none keeps state of its own.
import { ResponseCode } from '../protocol/index.ts';
import type { ConsumerTable, ProducerTable, QueueLocks } from './clients/index.ts';
import type { ConsumerFilters, FilterCache } from './filter/index.ts';
import type { Creation } from './metadata/index.ts';
import type { BrokerParts } from './parts.ts';
import { refuse } from './response-codes.ts';
import type { BrokerStats } from './stats/index.ts';
import type { TimerService } from './timer/index.ts';
import type { Transactions } from './transactions/index.ts';
import type { MessageWriter } from './writing/index.ts';

export interface HandlerContext {
  parts: BrokerParts;
  consumers: ConsumerTable;
  producers: ProducerTable;
  locks: QueueLocks;
  filters: ConsumerFilters;
  filterCache: FilterCache;
  creation: Creation;
  writer: MessageWriter;
  /** Advertised host and port in record form. */
  storeHost: Buffer;
  stats: BrokerStats;
  transactions: Transactions;
  timers: TimerService;
  /** Delay of each level, ms; index 0 is level 1. */
  levelsMs: readonly number[];
  /** Told which keys an operator changed (25), when they are in force. */
  configListeners: ((keys: ReadonlySet<string>) => void)[];
}

/** Metadata of a standby belongs to the active side: changes here would be undone by the next sync. */
export function requireOwnMetadata(context: HandlerContext): void {
  const admission = context.parts.admission.current;
  if (admission.mayCreate) return;
  const remark =
    admission.state === 'refused' ? admission.refusal().remark : 'this region takes no changes now';
  refuse(ResponseCode.NO_PERMISSION, remark);
}
