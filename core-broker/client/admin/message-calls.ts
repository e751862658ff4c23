// Messages as an administrator finds them: by id, by key, by unique key, by place in a queue.
// Source: behaviour of mqadmin 4.9.7 and 5.5.0.
import { DrError } from '../../base/index.ts';
import {
  decodeRecords,
  type MessageQueue,
  parseOffsetMsgId,
  RequestCode,
  ResponseCode,
  tagSubscription,
} from '../../protocol/index.ts';
import { type PullAnswer, pull, receive } from '../consumer/pull.ts';
import type { ReceivedMessage } from '../messages.ts';
import { remoteCode } from '../peer-client.ts';
import { routeOf } from './topic-calls.ts';
import type { AdminWire } from './wire.ts';

export interface FoundMessage extends ReceivedMessage {
  bornHost: string;
  storeHost: string;
  storeSize: number;
}

const MINUTE_MS = 60_000;

/** @throws DrError NOT_FOUND, USAGE when the id is no offset id */
export async function messageById(wire: AdminWire, id: string): Promise<FoundMessage> {
  const { host, port, physicalOffset } = parseOffsetMsgId(id);
  const address = `${host}:${port}`;
  const ext = { offset: physicalOffset };
  try {
    const answer = await wire.call(address, RequestCode.VIEW_MESSAGE_BY_ID, ext);
    const [found] = foundIn(answer.body, '');
    if (found) return found;
  } catch (reason) {
    if (remoteCode(reason) !== ResponseCode.SYSTEM_ERROR) throw reason;
  }
  throw new DrError('NOT_FOUND', `${address} has no message ${id}`, {
    hint: 'its file may be deleted; for a unique key use dr admin queryMsgByUniqueKey',
  });
}

export interface KeyQuery {
  topic: string;
  key: string;
  isUnique: boolean;
  beginMs: number;
  endMs: number;
  limit: number;
}

/** Messages that carry a key, over all brokers of the topic, oldest first. */
export async function messagesByKey(wire: AdminWire, query: KeyQuery): Promise<FoundMessage[]> {
  const route = await routeOf(wire, query.topic);
  const found: FoundMessage[] = [];
  for (const data of route.brokerDatas) {
    const address = data.brokerAddrs['0'] ?? Object.values(data.brokerAddrs)[0];
    if (address === undefined) continue;
    const ext = {
      topic: query.topic,
      key: query.key,
      maxNum: query.limit,
      beginTimestamp: query.beginMs,
      endTimestamp: query.endMs,
      _UNIQUE_KEY_QUERY: query.isUnique,
    };
    try {
      const answer = await wire.call(address, RequestCode.QUERY_MESSAGE, ext);
      found.push(...foundIn(answer.body, data.brokerName).filter((row) => carries(row, query)));
    } catch (reason) {
      if (remoteCode(reason) !== ResponseCode.QUERY_NOT_FOUND) throw reason;
    }
  }
  return found.sort((left, right) => left.storeTimestampMs - right.storeTimestampMs);
}

/** Why: an index finds by hash; other keys may share it. */
function carries(message: FoundMessage, query: KeyQuery): boolean {
  if (message.topic !== query.topic) return false;
  if (query.isUnique) return message.properties['UNIQ_KEY'] === query.key;
  return (message.keys ?? '').split(' ').includes(query.key);
}

function foundIn(body: Buffer | undefined, brokerName: string): FoundMessage[] {
  return decodeRecords(body ?? Buffer.alloc(0)).map((record) => ({
    ...receive(record, brokerName),
    bornHost: hostText(record.bornHost),
    storeHost: hostText(record.storeHost),
    storeSize: record.sizeBytes,
  }));
}

function hostText(host: Buffer): string {
  const ip = host.subarray(0, host.length - 4);
  const name = ip.length === 4 ? ip.join('.') : `[${ip.toString('hex')}]`;
  return `${name}:${host.readInt32BE(host.length - 4)}`;
}

/** One pull without a hold. */
export function pullOnce(
  wire: AdminWire,
  address: string,
  from: { queue: MessageQueue; offset: number; group: string; expression?: string; count?: number },
): Promise<PullAnswer> {
  const { queue, offset, group } = from;
  const version = Date.now();
  return pull(wire.peer, address, {
    group,
    queue,
    offset,
    subscription: tagSubscription(queue.topic, from.expression, version),
    suspendMs: 0,
    messagesMax: from.count ?? 32,
  });
}

/** First offset to read and the end, of a time range; without one the whole queue. */
export interface TimeRange {
  beginMs?: number | undefined;
  endMs?: number | undefined;
}

/** Default window of key queries: 36 hours back, as mqadmin looks. */
export const KEY_WINDOW_MS = 36 * 60 * MINUTE_MS;
