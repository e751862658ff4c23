// What a broker or a store serves, as a value that can be compared: per queue its bounds and a digest of
// every record byte, plus tag filters, key look-ups, committed offsets and searches by time. The stock
// broker that wrote a store is the judge; whoever serves that store later must serve the same.
import { createHash } from 'node:crypto';
import {
  decodeConsumerOffsets,
  decodeRecords,
  decodeTopicConfigTable,
  type RemotingCommand,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import type { MessageStore, QueueRef } from '../../../core-broker/store/index.ts';
import type { TapWire } from './tap-wire.ts';

export interface ServedQueue {
  min: number;
  max: number;
  /** SHA-256 over the bytes of all records, in order. */
  digest: string;
}

export interface Served {
  /** `topic/queueId` -> what is in it. */
  queues: Record<string, ServedQueue>;
  /** `topic/queueId/tags` -> queue offsets of the records a pull with these tags gives. */
  tags: Record<string, number[]>;
  /** `topic/key` -> physical offsets. */
  keys: Record<string, number[]>;
  /** `topic/queueId/ms` -> queue offset. */
  times: Record<string, number>;
  /** `topic@group` -> offsets by queue. */
  offsets: Record<string, Record<string, number>>;
}

/** What to ask besides the queues. */
export interface Questions {
  tags: { topic: string; queueId: number; tags: string }[];
  keys: { topic: string; key: string }[];
  /** Offsets whose store times are searched for. */
  times: { topic: string; queueId: number; offset: number }[];
}

interface PullPlace extends QueueRef {
  offset: number;
  tags?: string;
}

export function pullOnce(wire: TapWire, at: string, place: PullPlace): Promise<RemotingCommand> {
  return wire.invoke(at, {
    code: RequestCode.PULL_MESSAGE,
    ext: {
      consumerGroup: 'fx-reader',
      topic: place.topic,
      queueId: place.queueId,
      queueOffset: place.offset,
      maxMsgNums: 32,
      sysFlag: 4,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subVersion: 0,
      subscription: place.tags ?? '*',
    },
  });
}

/** All record bytes of a queue as pulls give them, from `from` to its end. */
export async function pullAll(wire: TapWire, at: string, place: PullPlace): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let { offset } = place;
  for (;;) {
    const answer = await pullOnce(wire, at, { ...place, offset });
    if (answer.body !== undefined && answer.code === 0) pieces.push(answer.body);
    const next = Number(answer.ext['nextBeginOffset'] ?? -1);
    const isEnd = answer.code === 19 || next <= offset;
    if (answer.code !== 0 && answer.code !== 20 && answer.code !== 19) {
      throw new Error(`pull of ${place.topic}/${place.queueId}: ${answer.code} ${answer.remark}`);
    }
    if (isEnd) return Buffer.concat(pieces);
    offset = next;
  }
}

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export async function boundOf(wire: TapWire, at: string, code: number, queue: QueueRef) {
  const answer = await wire.call(at, { code, ext: { ...queue } });
  return Number(answer.ext['offset']);
}

/** Every queue that ever had a message, read through the broker at this address. */
export async function queuesOf(wire: TapWire, at: string): Promise<(QueueRef & ServedQueue)[]> {
  const answer = await wire.call(at, { code: RequestCode.GET_ALL_TOPIC_CONFIG });
  const { topicConfigTable } = decodeTopicConfigTable(answer.body);
  const found: (QueueRef & ServedQueue)[] = [];
  for (const topic of Object.keys(topicConfigTable).sort()) {
    const count = topicConfigTable[topic]?.readQueueNums ?? 0;
    // Apache's benchmark topic has 1024 queues; nothing here ever writes to it.
    if (topic === 'BenchmarkTest') continue;
    for (let queueId = 0; queueId < count; queueId++) {
      const queue = { topic, queueId };
      const max = await boundOf(wire, at, RequestCode.GET_MAX_OFFSET, queue);
      if (max === 0) continue;
      const min = await boundOf(wire, at, RequestCode.GET_MIN_OFFSET, queue);
      const digest = sha(await pullAll(wire, at, { ...queue, offset: min }));
      found.push({ ...queue, min, max, digest });
    }
  }
  return found;
}

/** The part of each of these queues that was there before: what came behind is not looked at. */
export async function firstPartOf(
  wire: TapWire,
  at: string,
  before: Record<string, ServedQueue>,
): Promise<Record<string, ServedQueue>> {
  const found: [string, ServedQueue][] = [];
  for (const [place, { min, max }] of Object.entries(before)) {
    const [topic = '', queueId = ''] = place.split('/');
    const queue = { topic, queueId: Number(queueId) };
    const bytes = await pullAll(wire, at, { ...queue, offset: min });
    const records = decodeRecords(bytes).filter((record) => record.queueOffset < max);
    const length = records.reduce((sum, record) => sum + record.sizeBytes, 0);
    const end = (records.at(-1)?.queueOffset ?? min - 1) + 1;
    found.push([place, { min, max: end, digest: sha(bytes.subarray(0, length)) }]);
  }
  return Object.fromEntries(found);
}

const tabled = (rows: (QueueRef & ServedQueue)[]): Record<string, ServedQueue> =>
  Object.fromEntries(
    rows.map(({ topic, queueId, ...row }) => [`${topic}/${queueId}`, row] as const),
  );

/** Asks a broker everything. */
export async function servedByBroker(
  wire: TapWire,
  at: string,
  questions: Questions,
): Promise<Served> {
  const queues = await queuesOf(wire, at);
  const tags: Served['tags'] = {};
  for (const { topic, queueId, tags: expression } of questions.tags) {
    const bytes = await pullAll(wire, at, { topic, queueId, offset: 0, tags: expression });
    const offsets = decodeRecords(bytes).map((record) => record.queueOffset);
    tags[`${topic}/${queueId}/${expression}`] = offsets;
  }
  const keys: Served['keys'] = {};
  for (const { topic, key } of questions.keys) {
    const found = await queryByKey(wire, at, { topic, key });
    keys[`${topic}/${key}`] = found.sort((left, right) => left - right);
  }
  const times: Served['times'] = {};
  for (const { topic, queueId, offset } of questions.times) {
    const ms = await storeTimeOf(wire, at, { topic, queueId, offset });
    const answer = await wire.call(at, {
      code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
      ext: { topic, queueId, timestamp: ms },
    });
    times[`${topic}/${queueId}/${ms}`] = Number(answer.ext['offset']);
  }
  const offsets = await wire.call(at, { code: RequestCode.GET_ALL_CONSUMER_OFFSET });
  const table = decodeConsumerOffsets(offsets.body).offsetTable;
  return { queues: tabled(queues), tags, keys, times, offsets: byPlainName(table) };
}

async function storeTimeOf(wire: TapWire, at: string, place: PullPlace): Promise<number> {
  const answer = await pullOnce(wire, at, place);
  return decodeRecords(answer.body ?? Buffer.alloc(0))[0]?.storeTimestampMs ?? -1;
}

/** Physical offsets of the records with this key. */
export async function queryByKey(
  wire: TapWire,
  at: string,
  { topic, key }: { topic: string; key: string },
): Promise<number[]> {
  const answer = await wire.invoke(at, {
    code: RequestCode.QUERY_MESSAGE,
    ext: {
      topic,
      key,
      maxNum: 32,
      beginTimestamp: 0,
      endTimestamp: 9_999_999_999_999,
      _UNIQUE_KEY_QUERY: 'false',
    },
  });
  return decodeRecords(answer.body ?? Buffer.alloc(0)).map((record) => record.physicalOffset);
}

/** Readers' own offsets are not part of what was stored. */
function byPlainName(table: Record<string, object>): Served['offsets'] {
  const rows = Object.entries(table)
    .filter(([name]) => !name.endsWith('@fx-reader'))
    .map(([name, queues]) => [name, Object.fromEntries(Object.entries(queues))] as const);
  return Object.fromEntries(rows.sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** The queues of an open store, without a broker around it. */
export function queuesOfStore(store: MessageStore): Record<string, ServedQueue> {
  const limit = { messagesMax: 32, bytesMax: 1 << 20, tagCodes: undefined };
  const found: (QueueRef & ServedQueue)[] = [];
  for (const { topic, queueId, min, max } of store.queues()) {
    if (max === 0) continue;
    const hash = createHash('sha256');
    let offset: number = min;
    while (offset < max) {
      const pulled = store.pull({ topic, queueId }, offset, limit);
      for (const chunk of pulled.chunks) hash.update(chunk);
      if (pulled.nextBeginOffset <= offset) throw new Error(`${topic}/${queueId} ends early`);
      offset = pulled.nextBeginOffset;
    }
    found.push({ topic, queueId, min, max, digest: hash.digest('hex') });
  }
  return tabled(found);
}
