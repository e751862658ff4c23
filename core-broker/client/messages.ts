// What programs hand to a producer and get from a consumer, free of wire details.

import type { MessageQueue } from '../protocol/index.ts';

export interface OutgoingMessage {
  topic: string;
  body: Uint8Array | string;
  tags?: string;
  /** Index keys, separated by blanks. */
  keys?: string;
  /** 1..18, Apache's delay levels. */
  delayLevel?: number;
  properties?: Record<string, string>;
  /** Send to this queue only (order); retries stay on it. Without a broker name: any that has it. */
  queue?: { brokerName?: string; queueId: number };
}

export type SendStatus =
  | 'SEND_OK'
  | 'FLUSH_DISK_TIMEOUT'
  | 'SLAVE_NOT_AVAILABLE'
  | 'FLUSH_SLAVE_TIMEOUT';

/** The broker has the message as durably as `status` says. */
export interface SendReceipt {
  status: SendStatus;
  queue: MessageQueue;
  queueOffset: number;
  /** Unique key made by this client; equal over all tries of one send. */
  msgId: string;
  /** Broker's id: address and commit-log offset. */
  offsetMsgId: string;
  /** host:port that took it. */
  address: string;
  /** 1 = no retry. More than 1 may mean a duplicate in the log. */
  attempts: number;
}

export interface ReceivedMessage {
  topic: string;
  brokerName: string;
  queueId: number;
  queueOffset: number;
  physicalOffset: number;
  /** Unique key of the producer, or the broker's id when there is none. */
  msgId: string;
  tags: string | undefined;
  keys: string | undefined;
  body: Buffer;
  properties: Record<string, string>;
  flag: number;
  sysFlag: number;
  bornTimestampMs: number;
  storeTimestampMs: number;
  reconsumeTimes: number;
}
