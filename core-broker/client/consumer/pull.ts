// One PULL_MESSAGE round trip: request header out, status, next offset and decoded messages back.
// Bodies that a producer compressed with zlib or zstd arrive inflated; LZ4 stays as stored and keeps
// its sysFlag bit, because Node has no LZ4.
import * as zlib from 'node:zlib';
import { DrError, LIMITS } from '../../base/index.ts';
import {
  decodeRecords,
  formatOffsetMsgId,
  type MessageQueue,
  type MessageRecord,
  PullSysFlag,
  parseMessageProperties,
  RequestCode,
  ResponseCode,
  type SubscriptionData,
  SysFlag,
} from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import type { ReceivedMessage } from '../messages.ts';
import { remoteError } from '../peer-client.ts';

export interface PullRequest {
  group: string;
  queue: MessageQueue;
  offset: number;
  subscription: SubscriptionData;
  /** Hold on the broker when nothing is there, ms; 0 = answer at once. */
  suspendMs: number;
  messagesMax: number;
}

/** found: messages · empty: go on at `next` · moved: the offset was outside [min, max], see `next` */
export interface PullAnswer {
  outcome: 'found' | 'empty' | 'moved';
  messages: ReceivedMessage[];
  next: number;
  min: number;
  max: number;
}

/** The broker may answer this much after its hold, ms. */
const GRACE_MS = 15_000;

const OUTCOMES: ReadonlyMap<number, PullAnswer['outcome']> = new Map<number, PullAnswer['outcome']>(
  [
    [ResponseCode.SUCCESS, 'found'],
    [ResponseCode.PULL_NOT_FOUND, 'empty'],
    [ResponseCode.PULL_RETRY_IMMEDIATELY, 'empty'],
    [ResponseCode.PULL_OFFSET_MOVED, 'moved'],
  ],
);

/** @throws DrError NETWORK, TIMEOUT, REMOTE, CORRUPT */
export async function pull(
  peer: PeerClient,
  address: string,
  request: PullRequest,
): Promise<PullAnswer> {
  const command = { code: RequestCode.PULL_MESSAGE, ext: pullHeader(request) };
  const response = await peer.invoke(address, command, request.suspendMs + GRACE_MS);
  const outcome = OUTCOMES.get(response.code);
  if (outcome === undefined) throw remoteError(address, command.code, response);
  const records = outcome === 'found' ? decodeRecords(response.body ?? Buffer.alloc(0)) : [];
  return {
    outcome,
    messages: records.map((record) => receive(record, request.queue.brokerName)),
    next: Number(response.ext['nextBeginOffset'] ?? request.offset),
    min: Number(response.ext['minOffset'] ?? 0),
    max: Number(response.ext['maxOffset'] ?? 0),
  };
}

function pullHeader(request: PullRequest) {
  const suspend = request.suspendMs > 0 ? PullSysFlag.SUSPEND : 0;
  return {
    consumerGroup: request.group,
    topic: request.queue.topic,
    queueId: request.queue.queueId,
    queueOffset: request.offset,
    maxMsgNums: request.messagesMax,
    sysFlag: PullSysFlag.SUBSCRIPTION | suspend,
    commitOffset: 0,
    suspendTimeoutMillis: request.suspendMs,
    subscription: request.subscription.subString,
    subVersion: request.subscription.subVersion,
    expressionType: 'TAG',
    bname: request.queue.brokerName,
  };
}

/** Turns a record of the log into what a program sees. */
export function receive(record: MessageRecord, brokerName: string): ReceivedMessage {
  const properties = Object.fromEntries(parseMessageProperties(record.properties));
  return {
    topic: record.topic,
    brokerName,
    queueId: record.queueId,
    queueOffset: record.queueOffset,
    physicalOffset: record.physicalOffset,
    msgId: properties['UNIQ_KEY'] ?? formatOffsetMsgId(record.storeHost, record.physicalOffset),
    tags: properties['TAGS'],
    keys: properties['KEYS'],
    body: inflate(record.body, record.sysFlag),
    properties,
    flag: record.flag,
    sysFlag: record.sysFlag,
    bornTimestampMs: record.bornTimestampMs,
    storeTimestampMs: record.storeTimestampMs,
    reconsumeTimes: record.reconsumeTimes,
  };
}

function inflate(body: Buffer, sysFlag: number): Buffer {
  if ((sysFlag & SysFlag.COMPRESSED) === 0) return body;
  const kind = sysFlag & SysFlag.COMPRESSION_TYPE_MASK;
  if (kind === SysFlag.COMPRESSION_LZ4) return body;
  const limit = { maxOutputLength: LIMITS.frameBytesMax };
  try {
    return kind === SysFlag.COMPRESSION_ZSTD
      ? zlib.zstdDecompressSync(body, limit)
      : zlib.inflateSync(body, limit);
  } catch (cause) {
    throw new DrError('CORRUPT', 'a compressed body cannot be inflated', { cause });
  }
}
