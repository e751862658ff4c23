// A known mix of messages, sent over raw requests to whatever broker is asked: single sends in both header
// forms, batches, tags, keys, delay levels, send-back to retry and dead letter, transactions, bodies
// that fill more than one commit-log file, committed offsets. The same input always gives the same
// messages (ids, keys, bodies, born times), so that two brokers can be put into the same state.
import { deflateSync } from 'node:zlib';
import {
  decodeDelayOffsets,
  encodeBatch,
  formatMessageProperties,
  parseOffsetMsgId,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import { until } from '../until.ts';
import { boundOf, type Questions } from './served.ts';
import type { TapWire } from './tap-wire.ts';

export const ORDERS = 'fx-orders';
export const BIG = 'fx-big';
export const GROUP = 'fx-billing';
const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';
const OP_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';
const BORN_MS = 1_790_000_000_000;
const COMPRESSED = 1;
const PREPARED = 4;
const COMMIT = 8;

export interface Mail {
  topic: string;
  queueId: number;
  body: Buffer;
  serial: number;
  properties?: Record<string, string>;
  flag?: number;
  sysFlag?: number;
  code?: number;
}

/** The serial number of a message is in its id, so every message of a run has one of its own. */
export const uniqueKey = (serial: number): string =>
  `7F0000010FA018B4AAC2${serial.toString(16).toUpperCase().padStart(12, '0')}`;

/** Repeatable bytes that compress well. */
export const bodyOf = (serial: number, length: number): Buffer =>
  Buffer.alloc(length, `{"order":${serial},"item":"widget-${serial % 7}"}`);

export const propertiesOf = (mail: Pick<Mail, 'properties' | 'serial'>): string =>
  formatMessageProperties([
    ...Object.entries(mail.properties ?? {}),
    ['UNIQ_KEY', uniqueKey(mail.serial)],
  ]);

/** Header and body of one send, in the form its code wants. */
export function sendRequest(mail: Mail) {
  const code = mail.code ?? RequestCode.SEND_MESSAGE_V2;
  const text = code === RequestCode.SEND_BATCH_MESSAGE ? '' : propertiesOf(mail);
  const values = [
    ['a', 'producerGroup', 'fx-producers'],
    ['b', 'topic', mail.topic],
    ['c', 'defaultTopic', 'TBW102'],
    ['d', 'defaultTopicQueueNums', 4],
    ['e', 'queueId', mail.queueId],
    ['f', 'sysFlag', mail.sysFlag ?? 0],
    ['g', 'bornTimestamp', BORN_MS + mail.serial],
    ['h', 'flag', mail.flag ?? 0],
    ['i', 'properties', text],
    ['j', 'reconsumeTimes', 0],
    ['k', 'unitMode', false],
  ] as const;
  const isLong = code === RequestCode.SEND_MESSAGE;
  const ext: Record<string, string | number | boolean> = Object.fromEntries(
    values.map(([short, long, value]) => [isLong ? long : short, value]),
  );
  if (code === RequestCode.SEND_BATCH_MESSAGE) ext['m'] = true;
  return { code, ext, body: mail.body };
}

export interface SentMail {
  queueOffset: number;
  physicalOffset: number;
}

export async function sendMail(wire: TapWire, at: string, mail: Mail): Promise<SentMail> {
  const answer = await wire.call(at, sendRequest(mail));
  const id = answer.ext['msgId']?.split(',')[0] ?? '';
  const queueOffset = Number(answer.ext['queueOffset']);
  return { queueOffset, physicalOffset: parseOffsetMsgId(id).physicalOffset };
}

export async function createTopic(wire: TapWire, at: string, topic: string, queues: number) {
  await wire.call(at, topicRequest(topic, queues));
}

export const topicRequest = (topic: string, queues: number) => ({
  code: RequestCode.UPDATE_AND_CREATE_TOPIC,
  ext: {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: queues,
    writeQueueNums: queues,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
  },
});

export const groupRequest = (groupName: string) => ({
  code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
  body: JSON.stringify({
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    brokerId: 0,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
  }),
});

export const commitRequest = (topic: string, queueId: number, offset: number) => ({
  code: RequestCode.UPDATE_CONSUMER_OFFSET,
  ext: { consumerGroup: GROUP, topic, queueId, commitOffset: offset },
});

export const sendBackRequest = (offset: number, level: number) => ({
  code: RequestCode.CONSUMER_SEND_MSG_BACK,
  ext: {
    offset,
    group: GROUP,
    delayLevel: level,
    originMsgId: uniqueKey(0),
    originTopic: ORDERS,
    unitMode: false,
    maxReconsumeTimes: 16,
  },
});

export interface WorkloadShape {
  /** First serial number; another one adds different messages to the same topics. */
  from: number;
  /** Bodies of 4,000 bytes to BIG. */
  big: number;
  /** A half message and its commit. */
  transactions: boolean;
}

/** Puts the mix into the broker; resolves when everything that will move by itself has moved. */
export async function runWorkload(wire: TapWire, at: string, shape: WorkloadShape): Promise<void> {
  await createTopic(wire, at, ORDERS, 4);
  await createTopic(wire, at, BIG, 2);
  await wire.call(at, groupRequest(GROUP));
  const first = await sendOrders(wire, at, shape.from);
  await sendBatch(wire, at, shape.from + 200);
  await sendOdd(wire, at, shape.from + 300);
  await sendDelayed(wire, at, shape.from + 400);
  await sendBack(wire, at, first);
  if (shape.transactions) await sendTransaction(wire, at, shape.from + 500);
  for (let i = 0; i < shape.big; i++) {
    const serial = shape.from + 1_000 + i;
    const properties = { KEYS: `big-${serial}`, TAGS: i % 3 === 0 ? 'Third' : 'Other' };
    const body = bodyOf(serial, 4_000);
    await sendMail(wire, at, { topic: BIG, queueId: i % 2, body, serial, properties });
  }
  for (let queueId = 0; queueId < 4; queueId++) {
    await wire.call(at, commitRequest(ORDERS, queueId, 3 + queueId));
  }
}

async function sendOrders(wire: TapWire, at: string, from: number): Promise<SentMail> {
  const sent: SentMail[] = [];
  for (let i = 0; i < 40; i++) {
    const serial = from + i;
    const properties = {
      KEYS: i % 5 === 0 ? `order-${serial} pair-${from}` : `order-${serial}`,
      TAGS: i % 2 === 0 ? 'TagA' : 'TagB',
    };
    const code = i % 4 === 1 ? RequestCode.SEND_MESSAGE : RequestCode.SEND_MESSAGE_V2;
    const mail = { topic: ORDERS, queueId: i % 4, body: bodyOf(serial, 60 + i), serial };
    sent.push(await sendMail(wire, at, { ...mail, properties, code }));
  }
  return sent[0] as SentMail;
}

export const batchBody = (from: number): Buffer =>
  encodeBatch(
    Array.from({ length: 12 }, (_, i) => ({
      flag: i,
      body: bodyOf(from + i, 40 + i),
      properties: propertiesOf({
        serial: from + i,
        properties: { KEYS: `batch-${from + i}`, TAGS: 'TagC' },
      }),
    })),
  );

async function sendBatch(wire: TapWire, at: string, from: number): Promise<void> {
  const code = RequestCode.SEND_BATCH_MESSAGE;
  const mail = { topic: ORDERS, queueId: 1, body: batchBody(from), serial: from, code };
  await sendMail(wire, at, mail);
}

/** No tag, other letters, a flag, many properties, a body that says it is compressed. */
async function sendOdd(wire: TapWire, at: string, from: number): Promise<void> {
  const place = { topic: ORDERS, queueId: 2 };
  await sendMail(wire, at, { ...place, body: Buffer.from('x'), serial: from });
  await sendMail(wire, at, {
    ...place,
    body: Buffer.from('Größe 注文 🚚'),
    serial: from + 1,
    flag: 77,
    properties: { KEYS: `schlüssel-${from}`, TAGS: '標籤', note: 'ä b c' },
  });
  const many = Array.from({ length: 40 }, (_, i) => [`name${i}`, `value ${i}`] as const);
  await sendMail(wire, at, {
    ...place,
    body: bodyOf(from, 500),
    serial: from + 2,
    properties: Object.fromEntries(many),
  });
  const body = deflateSync(bodyOf(from, 5_000));
  await sendMail(wire, at, { ...place, body, serial: from + 3, sysFlag: COMPRESSED });
}

const maxOf = (wire: TapWire, at: string, topic: string, queueId: number) =>
  boundOf(wire, at, RequestCode.GET_MAX_OFFSET, { topic, queueId });

/** Two that are due in a second and three that wait for two hours. */
async function sendDelayed(wire: TapWire, at: string, from: number): Promise<void> {
  const before = await maxOf(wire, at, ORDERS, 3);
  for (let i = 0; i < 5; i++) {
    const serial = from + i;
    const level = i < 2 ? '1' : '18';
    const properties = { DELAY: level, KEYS: `later-${serial}`, TAGS: 'TagA' };
    await sendMail(wire, at, {
      topic: ORDERS,
      queueId: 3,
      body: bodyOf(serial, 90),
      serial,
      properties,
    });
  }
  const isThere = async () => (await maxOf(wire, at, ORDERS, 3)) >= before + 2;
  await until(isThere, 'delayed messages delivered', 30_000);
}

/**
 * One message goes to the retry topic after a second, and once to the dead letters at once. Resolves
 * when nothing of the first level waits any more: after a kill that includes what is delivered twice.
 */
async function sendBack(wire: TapWire, at: string, mail: SentMail): Promise<void> {
  const sizes = async () => ({
    retry: await maxOf(wire, at, `%RETRY%${GROUP}`, 0),
    dead: await maxOf(wire, at, `%DLQ%${GROUP}`, 0),
  });
  const before = await sizes();
  await wire.call(at, sendBackRequest(mail.physicalOffset, 1));
  await wire.call(at, sendBackRequest(mail.physicalOffset, -1));
  const isThere = async () => {
    const { retry, dead } = await sizes();
    return dead > before.dead && retry > before.retry && (await isDelivered(wire, at));
  };
  await until(isThere, 'sent back', 30_000);
}

async function isDelivered(wire: TapWire, at: string): Promise<boolean> {
  const answer = await wire.call(at, { code: RequestCode.GET_ALL_DELAY_OFFSET });
  const done = decodeDelayOffsets(answer.body).offsetTable['1'] ?? 0;
  return done === (await maxOf(wire, at, SCHEDULE_TOPIC, 0));
}

/** One half, committed. None stays open: a broker that stops moves old ones to a topic of its own. */
async function sendTransaction(wire: TapWire, at: string, serial: number): Promise<void> {
  const before = await maxOf(wire, at, OP_TOPIC, 0);
  const properties = {
    TRAN_MSG: 'true',
    PGROUP: 'fx-producers',
    KEYS: `half-${serial}`,
    TAGS: 'TagA',
  };
  const body = bodyOf(serial, 70);
  const mail = { topic: ORDERS, queueId: 0, body, serial, properties, sysFlag: PREPARED };
  const half = await sendMail(wire, at, mail);
  await wire.call(at, {
    code: RequestCode.END_TRANSACTION,
    ext: {
      producerGroup: 'fx-producers',
      tranStateTableOffset: half.queueOffset,
      commitLogOffset: half.physicalOffset,
      commitOrRollback: COMMIT,
      fromTransactionCheck: false,
      msgId: uniqueKey(serial),
      transactionId: uniqueKey(serial),
      topic: ORDERS,
    },
  });
  const isMarked = async () => (await maxOf(wire, at, OP_TOPIC, 0)) > before;
  await until(isMarked, 'transaction marked as ended', 30_000);
}

/** What to ask of a store that holds one or more runs of the workload. */
export function questionsFor(starts: number[], hasBig: boolean): Questions {
  const first = starts[0] ?? 0;
  return {
    tags: [
      { topic: ORDERS, queueId: 0, tags: 'TagA' },
      { topic: ORDERS, queueId: 1, tags: 'TagB || TagC' },
      { topic: ORDERS, queueId: 2, tags: '標籤' },
      { topic: ORDERS, queueId: 3, tags: 'Nothing' },
      ...(hasBig ? [{ topic: BIG, queueId: 0, tags: 'Third' }] : []),
    ],
    keys: [
      ...starts.flatMap((from) => [
        { topic: ORDERS, key: `order-${from}` },
        { topic: ORDERS, key: `pair-${from}` },
        { topic: ORDERS, key: `batch-${from + 207}` },
        { topic: ORDERS, key: uniqueKey(from + 7) },
        { topic: ORDERS, key: `schlüssel-${from + 300}` },
        { topic: ORDERS, key: `later-${from + 400}` },
      ]),
      ...(hasBig ? [{ topic: BIG, key: `big-${first + 1_001}` }] : []),
      { topic: ORDERS, key: 'nobody' },
    ],
    times: [
      { topic: ORDERS, queueId: 0, offset: 0 },
      { topic: ORDERS, queueId: 3, offset: 11 },
      ...(hasBig ? [{ topic: BIG, queueId: 1, offset: 100 }] : []),
    ],
  };
}
