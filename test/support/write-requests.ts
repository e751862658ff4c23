// One request for every code by which a client or tool makes a broker write; each would succeed, or at
// least change something, on a side that writes.
import { RequestCode, type RequestInit } from '../../core-broker/protocol/index.ts';
import { sendFields } from './broker-fixture.ts';

export interface WriteTargets {
  topic: string;
  group: string;
  /** Commit-log offset of a record a send-back may name. */
  offset: number;
  /** An ended or open half message. */
  half: { commitLogOffset: number; queueOffset: number; transactionId: string; group: string };
}

const fields = (topic: string, ext: object = {}) =>
  ({ ...sendFields(topic), ...ext }) as Record<string, string | number | boolean>;

const json = (body: object): string => JSON.stringify(body);

function sends({ topic, half }: WriteTargets): [number, Omit<RequestInit, 'code'>][] {
  const body = Buffer.from('must not be stored');
  const v1 = {
    ...{ producerGroup: 'writers', topic, defaultTopic: 'TBW102', defaultTopicQueueNums: 4 },
    ...{ queueId: 0, sysFlag: 0, bornTimestamp: Date.now(), flag: 0, properties: '' },
    ...{ reconsumeTimes: 0, unitMode: false, batch: false },
  };
  const batch = fields(topic, { m: true });
  const end = { ...half, producerGroup: half.group, tranStateTableOffset: half.queueOffset };
  const reply = { ...v1, properties: 'REPLY_TO_CLIENT\u0001nobody\u0002' };
  return [
    [RequestCode.SEND_MESSAGE, { ext: v1, body }],
    [RequestCode.SEND_MESSAGE_V2, { ext: fields(topic), body }],
    [RequestCode.SEND_BATCH_MESSAGE, { ext: batch, body: batchOf('must not be stored') }],
    [RequestCode.END_TRANSACTION, { ext: { ...end, commitOrRollback: 8 } }],
    [RequestCode.RECALL_MESSAGE, { ext: { producerGroup: 'writers', topic, recallHandle: 'x' } }],
    [RequestCode.SEND_REPLY_MESSAGE, { ext: reply, body }],
    [RequestCode.SEND_REPLY_MESSAGE_V2, { ext: fields(topic), body }],
  ];
}

function consumers({ topic, group, offset }: WriteTargets): [number, Omit<RequestInit, 'code'>][] {
  const queue = { topic, queueId: 0 };
  const msgId = '0'.repeat(32);
  return [
    [
      RequestCode.CONSUMER_SEND_MSG_BACK,
      { ext: { group, offset, delayLevel: 1, originTopic: topic } },
    ],
    [
      RequestCode.UPDATE_CONSUMER_OFFSET,
      { ext: { consumerGroup: group, ...queue, commitOffset: 1 } },
    ],
    [RequestCode.RESUME_CHECK_HALF_MESSAGE, { ext: { msgId } }],
  ];
}

function administration({ topic, group }: WriteTargets): [number, Omit<RequestInit, 'code'>][] {
  const topicConfig = { ...{ topicName: `${topic}2`, perm: 6 }, readQueueNums: 1 };
  const settings = { groupName: 'made', consumeEnable: true };
  const mode = { topic, consumerGroup: group, mode: 'PULL', popShareQueueNum: 1 };
  return [
    [
      RequestCode.UPDATE_AND_CREATE_TOPIC,
      { ext: { topic: 'made', perm: 6, readQueueNums: 1, writeQueueNums: 1, order: false } },
    ],
    [
      RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
      { body: json({ topicConfigList: [{ ...topicConfig, writeQueueNums: 1 }] }) },
    ],
    [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, { body: json(settings) }],
    [
      RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
      { body: json({ groupConfigList: [settings] }) },
    ],
    [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { ext: { topic, group, readable: false } }],
    [
      RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      { ext: { topic, group, timestamp: 0, isForce: true } },
    ],
    [RequestCode.CLONE_GROUP_OFFSET, { ext: { srcGroup: group, destGroup: 'made', topic } }],
    [RequestCode.SET_MESSAGE_REQUEST_MODE, { body: json(mode) }],
    [RequestCode.CLEAN_UNUSED_TOPIC, {}],
    [RequestCode.UPDATE_BROKER_CONFIG, { body: 'transactionTimeOut=6001\n' }],
    [RequestCode.UPDATE_AND_CREATE_ACL_CONFIG, { ext: { accessKey: 'somebody' } }],
    [RequestCode.DELETE_ACL_CONFIG, { ext: { accessKey: 'somebody' } }],
    [RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, { ext: { globalWhiteAddrs: '10.0.0.1' } }],
    [RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, {}],
    [RequestCode.DELETE_EXPIRED_COMMITLOG, {}],
    // Last: what they take away, others need.
    [RequestCode.DELETE_SUBSCRIPTIONGROUP, { ext: { groupName: group, cleanOffset: true } }],
    [RequestCode.DELETE_TOPIC_IN_BROKER, { ext: { topic } }],
  ];
}

export const writeRequests = (targets: WriteTargets): Map<number, RequestInit> =>
  new Map(
    [...sends(targets), ...consumers(targets), ...administration(targets)].map(([code, init]) => [
      code,
      { code, ...init },
    ]),
  );

/** One message in the form of a batch body. */
function batchOf(text: string): Buffer {
  const body = Buffer.from(text);
  const out = Buffer.alloc(22 + body.length);
  out.writeInt32BE(out.length, 0);
  out.writeInt32BE(body.length, 16);
  body.copy(out, 20);
  return out;
}
