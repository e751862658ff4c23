// One conversation with a fresh broker and its name server that meets the main codes once, good and bad
// answers: recorded against stock servers, sent again to ours. The order matters: physical offsets in
// later requests are those of earlier answers.
import {
  encodeHeartbeat,
  parseOffsetMsgId,
  type RemotingCommand,
  RequestCode,
  type RequestInit,
  tagSubscription,
} from '../../../core-broker/protocol/index.ts';
import { until } from '../until.ts';
import type { TapWire } from './tap-wire.ts';
import {
  batchBody,
  bodyOf,
  commitRequest,
  GROUP,
  groupRequest,
  ORDERS,
  sendBackRequest,
  sendRequest,
  topicRequest,
} from './workload.ts';

/** Client id of the one consumer and producer of the conversation. */
export const CLIENT_ID = '127.0.0.1@fixture';

export const heartbeatRequest = (clientID: string): RequestInit => ({
  code: RequestCode.HEART_BEAT,
  body: encodeHeartbeat({
    clientID,
    heartbeatFingerprint: 0,
    withoutSub: false,
    consumerDataSet: [
      {
        consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
        consumeType: 'CONSUME_PASSIVELY',
        groupName: GROUP,
        messageModel: 'CLUSTERING',
        subscriptionDataSet: [tagSubscription(ORDERS, 'TagA', BASE_VERSION)],
        unitMode: false,
      },
    ],
    producerDataSet: [{ groupName: 'fx-producers' }],
  }),
});
const BASE_VERSION = 1_790_000_000_000;

const pull = (offset: number, more: Record<string, string | number> = {}): RequestInit => ({
  code: RequestCode.PULL_MESSAGE,
  ext: {
    consumerGroup: GROUP,
    topic: ORDERS,
    queueId: 0,
    queueOffset: offset,
    maxMsgNums: 32,
    sysFlag: 4,
    commitOffset: 0,
    suspendTimeoutMillis: 0,
    subVersion: BASE_VERSION,
    subscription: 'TagA',
    ...more,
  },
});

const queue = { topic: ORDERS, queueId: 0 };
const place = { consumerGroup: GROUP, ...queue };
const LOCK = JSON.stringify({
  clientId: CLIENT_ID,
  consumerGroup: GROUP,
  mqSet: [{ brokerName: 'broker-a', queueId: 0, topic: ORDERS }],
});

export interface SessionServers {
  broker: string;
  nameserver: string;
}

/** Has the whole conversation through `wire`, which keeps the frames. */
export async function holdSession(wire: TapWire, at: SessionServers): Promise<void> {
  const broker = (name: string, init: RequestInit) =>
    wire.record(name, ['broker', at.broker], init);
  // 4.9.7 answers this one with an exception of its own during its first second.
  const info = { code: RequestCode.GET_BROKER_RUNTIME_INFO };
  const isUp = async () => (await wire.invoke(at.broker, info)).code === 0;
  await until(isUp, 'runtime info', 30_000);
  await broker('create topic', topicRequest(ORDERS, 4));
  await broker('create topic with a bad name', topicRequest('bad name!', 4));
  await broker('create group', groupRequest(GROUP));
  await broker('heartbeat', heartbeatRequest(CLIENT_ID));
  const first = await sends(broker);
  await broker('send back', sendBackRequest(first, 18));
  await broker('send back what is not there', sendBackRequest(99_000_000, 18));
  await pulls(broker);
  await offsets(broker);
  await lookUps(broker, first);
  await tables(broker);
  await names(wire, at);
  await broker('unregister client', {
    code: RequestCode.UNREGISTER_CLIENT,
    ext: { clientID: CLIENT_ID, producerGroup: 'fx-producers', consumerGroup: GROUP },
  });
}

type Ask = (name: string, init: RequestInit) => Promise<RemotingCommand>;

async function sends(broker: Ask): Promise<number> {
  const mail = {
    ...queue,
    body: bodyOf(1, 80),
    serial: 1,
    properties: { TAGS: 'TagA', KEYS: 'k1' },
  };
  const sent = await broker('send', sendRequest({ ...mail, code: RequestCode.SEND_MESSAGE }));
  await broker('send v2', sendRequest({ ...mail, serial: 2 }));
  await broker('send batch', sendRequest({ ...queue, body: batchBody(10), serial: 10, code: 320 }));
  const later = { ...mail, serial: 30, properties: { DELAY: '18', TAGS: 'TagA' } };
  await broker('send delayed', sendRequest(later));
  await broker('send to a new topic', sendRequest({ ...mail, topic: 'fx-auto', serial: 31 }));
  await broker('send to a queue that is not there', sendRequest({ ...mail, queueId: 9 }));
  await broker('send to a bad name', sendRequest({ ...mail, topic: 'bad name!' }));
  return parseOffsetMsgId(sent.ext['msgId'] ?? '').physicalOffset;
}

async function pulls(broker: Ask): Promise<void> {
  await broker('pull', pull(0));
  await broker('pull at the end', pull(14));
  await broker('pull behind the end', pull(1_000));
  await broker('pull of other tags', pull(2, { subscription: 'Nothing' }));
  await broker('pull of an empty queue', pull(0, { queueId: 3 }));
  await broker('pull of an unknown topic', pull(0, { topic: 'fx-nobody' }));
  await broker('pull of a queue that is not there', pull(0, { queueId: 9 }));
}

async function offsets(broker: Ask): Promise<void> {
  await broker('max offset', { code: RequestCode.GET_MAX_OFFSET, ext: queue });
  await broker('min offset', { code: RequestCode.GET_MIN_OFFSET, ext: queue });
  await broker('query offset of a new group', {
    code: RequestCode.QUERY_CONSUMER_OFFSET,
    ext: { ...place, consumerGroup: 'fx-other' },
  });
  await broker('update offset', commitRequest(ORDERS, 0, 5));
  await broker('query offset', { code: RequestCode.QUERY_CONSUMER_OFFSET, ext: place });
  const earliest = { code: RequestCode.GET_EARLIEST_MSG_STORETIME, ext: queue };
  await broker('earliest store time', earliest);
  const ext = { ...queue, timestamp: 1 };
  await broker('search offset', { code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext });
}

async function lookUps(broker: Ask, offset: number): Promise<void> {
  await broker('view message', { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset } });
  const nothing = { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset: 99_000_000 } };
  await broker('view message that is not there', nothing);
  const range = { topic: ORDERS, maxNum: 32, beginTimestamp: 0, endTimestamp: 9_999_999_999_999 };
  const query = (key: string) => ({
    code: RequestCode.QUERY_MESSAGE,
    ext: { ...range, key, _UNIQUE_KEY_QUERY: 'false' },
  });
  await broker('query by key', query('k1'));
  await broker('query by a key that nobody has', query('nobody'));
  await broker('query consume queue', {
    code: RequestCode.QUERY_CONSUME_QUEUE,
    ext: { ...queue, index: 0, count: 3, consumerGroup: GROUP },
  });
}

async function tables(broker: Ask): Promise<void> {
  const group = { consumerGroup: GROUP };
  const asks: [string, number, Record<string, string | number | boolean>?, string?][] = [
    ['consumer list', RequestCode.GET_CONSUMER_LIST_BY_GROUP, group],
    ['consumer list of nobody', RequestCode.GET_CONSUMER_LIST_BY_GROUP, { consumerGroup: 'no' }],
    ['lock queues', RequestCode.LOCK_BATCH_MQ, {}, LOCK],
    ['unlock queues', RequestCode.UNLOCK_BATCH_MQ, {}, LOCK],
    ['topic table', RequestCode.GET_ALL_TOPIC_CONFIG],
    ['group table', RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG],
    ['offset table', RequestCode.GET_ALL_CONSUMER_OFFSET],
    ['delay offset table', RequestCode.GET_ALL_DELAY_OFFSET],
    ['runtime info', RequestCode.GET_BROKER_RUNTIME_INFO],
    ['broker config', RequestCode.GET_BROKER_CONFIG],
    ['topic stats', RequestCode.GET_TOPIC_STATS_INFO, { topic: ORDERS }],
    ['topic stats of nothing', RequestCode.GET_TOPIC_STATS_INFO, { topic: 'fx-nobody' }],
    ['consume stats', RequestCode.GET_CONSUME_STATS, group],
    ['broker consume stats', RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: false }],
    ['consumer connections', RequestCode.GET_CONSUMER_CONNECTION_LIST, group],
    [
      'consumer connections of nobody',
      RequestCode.GET_CONSUMER_CONNECTION_LIST,
      { consumerGroup: 'no' },
    ],
    [
      'producer connections',
      RequestCode.GET_PRODUCER_CONNECTION_LIST,
      { producerGroup: 'fx-producers' },
    ],
    ['consumed by', RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: ORDERS }],
    ['system topics', RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER],
    [
      'stats data',
      RequestCode.VIEW_BROKER_STATS_DATA,
      { statsName: 'TOPIC_PUT_NUMS', statsKey: ORDERS },
    ],
    ['topic config', RequestCode.GET_TOPIC_CONFIG, { topic: ORDERS, lo: true }],
    ['group config', RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: GROUP }],
    ['topics of a consumer', RequestCode.QUERY_TOPICS_BY_CONSUMER, { group: GROUP }],
    ['ha status', RequestCode.GET_BROKER_HA_STATUS],
    ['a code that nobody has', 9_999],
  ];
  for (const [name, code, ext = {}, body] of asks) {
    await broker(name, { code, ext, ...(body === undefined ? {} : { body }) });
  }
}

async function names(wire: TapWire, at: SessionServers): Promise<void> {
  const nameserver = (name: string, init: RequestInit) =>
    wire.record(name, ['nameserver', at.nameserver], init);
  const route = (topic: string) => ({ code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic } });
  const isKnown = async (topic: string) =>
    (await wire.invoke(at.nameserver, route(topic))).code === 0;
  for (const topic of [ORDERS, 'fx-auto']) {
    await until(() => isKnown(topic), `route of ${topic}`, 60_000);
  }
  await nameserver('route', route(ORDERS));
  await nameserver('route of an unknown topic', route('fx-nobody'));
  await nameserver('cluster info', { code: RequestCode.GET_BROKER_CLUSTER_INFO });
  await nameserver('topic list', { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER });
  await nameserver('topics of a cluster', {
    code: RequestCode.GET_TOPICS_BY_CLUSTER,
    ext: { cluster: 'DefaultCluster' },
  });
}
