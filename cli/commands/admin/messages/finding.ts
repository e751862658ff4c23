// Admin actions that send one message or find messages by id, key or place.

import { DrError } from '../../../../core-broker/base/index.ts';
import {
  brokerOf,
  type FoundMessage,
  KEY_WINDOW_MS,
  messageById,
  messagesByKey,
  Producer,
  pullOnce,
  type ReceivedMessage,
  timeText,
} from '../../../../core-broker/client/index.ts';
import type { AdminAction, AdminAnswer, AdminCall } from '../call.ts';
import { messageJson } from './message-text.ts';

export const sendMessage: AdminAction = async (call) => {
  const topic = call.must('topic');
  // Why first: a typing mistake must not make a topic where brokers create them on the way.
  await call.wire.routes.refresh(topic);
  const producer = new Producer({
    nameservers: call.wire.nameservers,
    group: `dr_admin_${Date.now()}`,
    retryTimes: 0,
  });
  const brokerName = call.text('broker');
  const queueId = call.text('qid') === undefined ? undefined : call.number('qid', 0);
  if (brokerName !== undefined && queueId === undefined) {
    throw new DrError('USAGE', '-b needs -i, the queue id on that broker');
  }
  const keys = call.text('key');
  const tags = call.text('tags');
  producer.start();
  try {
    const receipt = await producer.send({
      topic,
      body: call.must('body'),
      ...(keys === undefined ? {} : { keys }),
      ...(tags === undefined ? {} : { tags }),
      ...(queueId === undefined
        ? {}
        : { queue: { queueId, ...(brokerName === undefined ? {} : { brokerName }) } }),
    });
    const { queue, status, msgId, queueOffset } = receipt;
    const head = ['Broker', 'QID', 'Result', 'Queue offset', 'Message id'];
    const rows = [[queue.brokerName, queue.queueId, status, queueOffset, msgId]];
    const problems = status === 'SEND_OK' ? [] : [`stored, but not as safely as asked: ${status}`];
    return { json: receipt, head, rows, problems };
  } finally {
    await producer.stop();
  }
};

const details = (message: ReceivedMessage & Partial<FoundMessage>): AdminAnswer => {
  const json = messageJson(message);
  const shown = Object.entries({
    ...json,
    bornTimestampMs: timeText(message.bornTimestampMs),
    storeTimestampMs: timeText(message.storeTimestampMs),
    properties: JSON.stringify(message.properties),
  });
  const rows = shown.map(([key, value]) => [key.replace(/Ms$/, ''), String(value ?? '')]);
  return { json, head: ['Field', 'Value'], rows };
};

export const queryMsgById: AdminAction = async (call) => {
  const id = call.must('msgId');
  const topic = call.text('topic');
  try {
    return details(await messageById(call.wire, id));
  } catch (reason) {
    // Both kinds of id look alike: one that names no broker here may be a unique key.
    if (topic === undefined) throw reason;
    return details(newest(await byUniqueKey(call, topic, id), id));
  }
};

async function byUniqueKey(call: AdminCall, topic: string, key: string): Promise<FoundMessage[]> {
  const endMs = Number.MAX_SAFE_INTEGER;
  const query = { topic, key, isUnique: true, beginMs: 0, endMs, limit: 32 };
  return await messagesByKey(call.wire, query);
}

function newest(found: FoundMessage[], id: string): FoundMessage {
  const last = found.at(-1);
  if (last) return last;
  throw new DrError('NOT_FOUND', `no message ${id}`, {
    hint: 'messages without key index or past retention cannot be found by key',
  });
}

export const queryMsgByUniqueKey: AdminAction = async (call) => {
  const id = call.must('msgId');
  const found = await byUniqueKey(call, call.must('topic'), id);
  if (!call.flag('showAll')) return details(newest(found, id));
  newest(found, id);
  return listing(found);
};

function listing(found: FoundMessage[]): AdminAnswer {
  const head = ['Message id', 'Broker', 'QID', 'Offset', 'Keys', 'Tags', 'Stored'];
  const rows = found.map((row) => [
    row.msgId,
    row.brokerName,
    row.queueId,
    row.queueOffset,
    row.keys ?? '',
    row.tags ?? '',
    timeText(row.storeTimestampMs),
  ]);
  return { json: found.map(messageJson), head, rows };
}

export const queryMsgByKey: AdminAction = async (call) => {
  const key = call.must('msgKey');
  const topic = call.must('topic');
  const endMs = call.time('endTimestamp') ?? Date.now();
  const beginMs = call.time('beginTimestamp') ?? endMs - KEY_WINDOW_MS;
  const limit = call.number('maxNum', 64);
  const query = { topic, key, isUnique: false, beginMs, endMs, limit };
  const found = await messagesByKey(call.wire, query);
  if (found.length > 0) return listing(found);
  throw new DrError('NOT_FOUND', `no message of ${topic} with key ${key} in that time`, {
    hint: 'widen it with -b and -e; keys are exact, without patterns',
  });
};

export const queryMsgByOffset: AdminAction = async (call) => {
  const topic = call.must('topic');
  const brokerName = call.must('brokerName');
  const queueId = call.number('queueId', 0);
  const offset = call.number('offset', 0);
  const address = await brokerOf(call.wire, topic, brokerName);
  const queue = { topic, brokerName, queueId };
  const pulled = await pullOnce(call.wire, address, {
    queue,
    offset,
    group: 'TOOLS_CONSUMER',
    count: 1,
  });
  const message = pulled.messages.find((row) => row.queueOffset === offset);
  if (message) return details(message);
  throw new DrError(
    'NOT_FOUND',
    `${brokerName} has no message at offset ${offset} of queue ${queueId}`,
    {
      hint: `the queue holds ${pulled.min} to ${pulled.max}, the last one excluded`,
    },
  );
};

/** Fields of one line of trace text, by kind. Source: TraceDataEncoder, behaviour only. */
const TRACE_TIME = 1;

export const queryMsgTraceById: AdminAction = async (call) => {
  const id = call.must('msgId');
  const topic = call.text('traceTopic') ?? 'RMQ_SYS_TRACE_TOPIC';
  const endMs = call.time('endTimestamp') ?? Number.MAX_SAFE_INTEGER;
  const beginMs = call.time('beginTimestamp') ?? 0;
  const limit = call.number('maxNum', 64);
  const query = { topic, key: id, isUnique: false, beginMs, endMs, limit };
  const found = await messagesByKey(call.wire, query);
  const json = found
    .flatMap((message) => message.body.toString('utf8').split('\u0002'))
    .map((line) => line.split('\u0001'))
    .filter((fields) => fields.includes(id))
    .map(traceRow);
  if (json.length === 0) {
    throw new DrError('NOT_FOUND', `no trace of message ${id} in ${topic}`, {
      hint: 'clients write traces only when tracing is switched on',
    });
  }
  const head = ['Type', 'Time', 'Group', 'Client', 'Cost(ms)', 'Result'];
  const rows = json.map((r) => [r.type, timeText(r.timeMs), r.group, r.client, r.costMs, r.result]);
  return { json, head, rows };
};

function traceRow(fields: string[]) {
  const type = fields[0] ?? '';
  const at = (place: number): string => fields[place] ?? '';
  const isAfter = type === 'SubAfter';
  return {
    type,
    timeMs: isAfter ? Number(fields[7] ?? 0) : Number(at(TRACE_TIME)),
    group: isAfter ? at(8) : type === 'SubBefore' ? at(3) : at(3),
    client: type === 'Pub' ? at(8) : '',
    costMs: type === 'Pub' ? Number(at(10)) : isAfter ? Number(at(3)) : 0,
    result: type === 'Pub' ? at(13) || 'true' : isAfter ? at(4) : '',
  };
}
