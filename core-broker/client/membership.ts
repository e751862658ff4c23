// A client's presence at a broker: heartbeat, who else is in the group, queue locks, goodbye.
// Brokers key all of it by connection and client id; a heartbeat on a new connection is what makes a
// group complete there, so it is sent at every first contact and not only on the clock.
import * as os from 'node:os';
import type { MessageQueue } from '../protocol/index.ts';
import {
  type ConsumerData,
  decodeConsumerIds,
  encodeHeartbeat,
  parseJsonObject,
  RequestCode,
  readMessageQueue,
} from '../protocol/index.ts';
import type { PeerClient } from './door.ts';

const TIMEOUT_MS = 3_000;
/** RocketMQ gives lock calls one second. */
const LOCK_TIMEOUT_MS = 1_000;

let made = 0;

/** `ip@pid#n`, unique on this machine while the process lives. */
export function clientId(): string {
  const address = Object.values(os.networkInterfaces())
    .flat()
    .find((face) => face !== undefined && face.family === 'IPv4' && !face.internal)?.address;
  const stamp = process.hrtime.bigint().toString(36);
  return `${address ?? '127.0.0.1'}@${process.pid}#${stamp}${made++}`;
}

export interface Presence {
  clientID: string;
  producerGroups: string[];
  consumers: ConsumerData[];
}

export async function heartbeat(peer: PeerClient, address: string, presence: Presence) {
  const body = encodeHeartbeat({
    clientID: presence.clientID,
    consumerDataSet: presence.consumers,
    producerDataSet: presence.producerGroups.map((groupName) => ({ groupName })),
    heartbeatFingerprint: 0,
    withoutSub: false,
  });
  await peer.call(address, { code: RequestCode.HEART_BEAT, body }, TIMEOUT_MS);
}

export async function unregister(
  peer: PeerClient,
  address: string,
  who: { clientId: string; producerGroup?: string; consumerGroup?: string },
): Promise<void> {
  const ext = {
    clientID: who.clientId,
    producerGroup: who.producerGroup,
    consumerGroup: who.consumerGroup,
  };
  await peer.call(address, { code: RequestCode.UNREGISTER_CLIENT, ext }, LOCK_TIMEOUT_MS);
}

/** Client ids of a group. @throws DrError REMOTE code 1 when the broker knows none yet */
export async function groupMembers(peer: PeerClient, address: string, group: string) {
  const request = {
    code: RequestCode.GET_CONSUMER_LIST_BY_GROUP,
    ext: { consumerGroup: group },
  };
  const response = await peer.call(address, request, TIMEOUT_MS);
  return decodeConsumerIds(response.body);
}

/** Locks queues for orderly consumption; renews locks we hold. Returns those that are ours now. */
export async function lockQueues(
  peer: PeerClient,
  address: string,
  claim: { clientId: string; consumerGroup: string; queues: MessageQueue[] },
): Promise<MessageQueue[]> {
  const request = { code: RequestCode.LOCK_BATCH_MQ, body: lockBody(claim) };
  const response = await peer.call(address, request, LOCK_TIMEOUT_MS);
  const granted = parseJsonObject(response.body)['lockOKMQSet'];
  return Array.isArray(granted) ? granted.map(readMessageQueue) : [];
}

export async function unlockQueues(
  peer: PeerClient,
  address: string,
  claim: { clientId: string; consumerGroup: string; queues: MessageQueue[] },
): Promise<void> {
  const request = { code: RequestCode.UNLOCK_BATCH_MQ, body: lockBody(claim) };
  await peer.call(address, request, LOCK_TIMEOUT_MS);
}

function lockBody(claim: { clientId: string; consumerGroup: string; queues: MessageQueue[] }) {
  return JSON.stringify({
    clientId: claim.clientId,
    consumerGroup: claim.consumerGroup,
    mqSet: claim.queues,
    onlyThisBroker: false,
  });
}
