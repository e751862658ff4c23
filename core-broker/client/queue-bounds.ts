// Where a queue begins and ends, and which offset belongs to a time (30, 31, 29).

import type { MessageQueue } from '../protocol/index.ts';
import { RequestCode } from '../protocol/index.ts';
import type { PeerClient } from './door.ts';

const TIMEOUT_MS = 3_000;

/** Smallest offset, or the next offset to be written. */
export async function queueBound(
  peer: PeerClient,
  address: string,
  queue: MessageQueue,
  which: 'min' | 'max',
): Promise<number> {
  const code = which === 'min' ? RequestCode.GET_MIN_OFFSET : RequestCode.GET_MAX_OFFSET;
  const ext = { topic: queue.topic, queueId: queue.queueId, bname: queue.brokerName };
  const response = await peer.call(address, { code, ext }, TIMEOUT_MS);
  return Number(response.ext['offset']);
}

/** First offset whose store time is at or after `ms`. */
export async function offsetByTime(
  peer: PeerClient,
  address: string,
  queue: MessageQueue,
  ms: number,
): Promise<number> {
  const ext = {
    topic: queue.topic,
    queueId: queue.queueId,
    timestamp: ms,
    bname: queue.brokerName,
  };
  const request = { code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext };
  const response = await peer.call(address, request, TIMEOUT_MS);
  return Number(response.ext['offset']);
}
