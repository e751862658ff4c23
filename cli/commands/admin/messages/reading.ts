// Admin actions that read messages of queues. They pull under a tool's group and store no offset, so no
// consumer of anybody moves. Bounds are taken once at the start: a busy topic does not make them endless.

import { DrError } from '../../../../core-broker/base/index.ts';
import {
  type AdminWire,
  brokerOf,
  byQueue,
  offsetAt,
  pullOnce,
  type ReceivedMessage,
  readableQueues,
  routeOf,
  topicBounds,
} from '../../../../core-broker/client/index.ts';
import type { MessageQueue } from '../../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminAnswer, AdminCall } from '../call.ts';
import { messageJson, messageLine } from './message-text.ts';

const GROUP = 'TOOLS_CONSUMER';

interface Wish {
  queues: MessageQueue[];
  expression: string;
  beginMs: number | undefined;
  endMs: number | undefined;
  from: number | undefined;
  limit: number;
  group: string;
}

/** Messages in order of queues; stops at the wished count. */
async function* read(wire: AdminWire, wish: Wish): AsyncGenerator<ReceivedMessage> {
  let left = wish.limit;
  for (const queue of wish.queues) {
    const address = await brokerOf(wire, queue.topic, queue.brokerName);
    const bounds = (await topicBounds(wire, queue.topic)).find((row) => byQueue(row, queue) === 0);
    if (bounds === undefined) continue;
    let offset = wish.from ?? bounds.minOffset;
    if (wish.from === undefined && wish.beginMs !== undefined) {
      offset = await offsetAt(wire, address, queue, wish.beginMs);
    }
    while (offset < bounds.maxOffset && left > 0) {
      const { expression, group } = wish;
      const answer = await pullOnce(wire, address, { queue, offset, group, expression });
      for (const message of answer.messages) {
        if (message.queueOffset >= bounds.maxOffset || left <= 0) break;
        if (message.storeTimestampMs > (wish.endMs ?? Number.MAX_SAFE_INTEGER)) break;
        if (message.storeTimestampMs < (wish.beginMs ?? 0)) continue;
        left--;
        yield message;
      }
      const last = answer.messages.at(-1);
      if ((last?.storeTimestampMs ?? 0) > (wish.endMs ?? Number.MAX_SAFE_INTEGER)) break;
      if (answer.next <= offset) break;
      offset = answer.next;
    }
  }
}

async function queuesOf(call: AdminCall): Promise<MessageQueue[]> {
  const topic = call.must('topic');
  const all = readableQueues(topic, await routeOf(call.wire, topic));
  const brokerName = call.text('brokerName');
  const queueId = call.text('queueId') === undefined ? undefined : call.number('queueId', 0);
  const chosen = all
    .filter((queue) => brokerName === undefined || queue.brokerName === brokerName)
    .filter((queue) => queueId === undefined || queue.queueId === queueId);
  if (chosen.length > 0) return chosen;
  const known = all.map((queue) => `${queue.brokerName}:${queue.queueId}`).join(' ');
  throw new DrError('NOT_FOUND', `topic ${topic} has no such queue`, {
    hint: `its queues: ${known || 'none can be read'}`,
  });
}

async function wishOf(call: AdminCall): Promise<Wish> {
  return {
    queues: await queuesOf(call),
    expression: call.text('subExpression') ?? '*',
    beginMs: call.time('beginTimestamp'),
    endMs: call.time('endTimestamp'),
    from: call.text('offset') === undefined ? undefined : call.number('offset', 0),
    limit: call.number('MessageNumber', Number.MAX_SAFE_INTEGER),
    group: call.text('consumerGroup') ?? GROUP,
  };
}

async function listed(call: AdminCall, wish: Wish, withBody: boolean): Promise<AdminAnswer> {
  const json: ReturnType<typeof messageJson>[] = [];
  const lines: string[] = [];
  for await (const message of read(call.wire, wish)) {
    json.push(messageJson(message));
    lines.push(messageLine(message, withBody));
  }
  return { json, text: [...lines, `${json.length} messages`].join('\n') };
}

export const consumeMessage: AdminAction = async (call) => {
  const wish = await wishOf(call);
  if (wish.from !== undefined && call.text('queueId') === undefined) {
    throw new DrError('USAGE', '-o needs -i, the queue it counts in');
  }
  return listed(call, { ...wish, limit: call.number('MessageNumber', 128) }, true);
};

export const printMsg: AdminAction = async (call) =>
  listed(call, await wishOf(call), call.flag('printBody', true));

export const printMsgByQueue: AdminAction = async (call) => {
  const wish = await wishOf(call);
  if (!call.flag('calculateByTag')) {
    if (call.flag('printMsg', true)) return listed(call, wish, call.flag('printBody', true));
  }
  const counts = new Map<string, number>();
  for await (const { tags } of read(call.wire, wish)) {
    counts.set(tags ?? '', (counts.get(tags ?? '') ?? 0) + 1);
  }
  const rows = [...counts].sort(([, left], [, right]) => right - left);
  const json = rows.map(([tag, messages]) => ({ tag, messages }));
  return { json, head: ['Tag', 'Messages'], rows: rows.map(([tag, n]) => [tag || '-', n]) };
};
