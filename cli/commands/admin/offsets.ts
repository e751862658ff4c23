// Admin actions that move a consumer group: to a time, behind the newest message, to another group's place.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  brokerAddresses,
  copyOffsets,
  type QueueReset,
  resetOffsets,
  routeOf,
} from '../../../core-broker/client/index.ts';
import type { AdminAction, AdminAnswer, AdminCall } from './call.ts';

async function reset(call: AdminCall, timestampMs: number): Promise<AdminAnswer> {
  const group = call.must('group');
  const topic = call.must('topic');
  const queueId = call.text('queue') === undefined ? undefined : call.number('queue', 0);
  const offset = call.text('offset') === undefined ? undefined : call.number('offset', 0);
  if ((queueId === undefined) !== (offset === undefined)) {
    throw new DrError('USAGE', '-q and -o are given together, or neither');
  }
  const route = await routeOf(call.wire, topic);
  const address = call.address();
  const brokers = address === undefined ? brokerAddresses(route) : [address];
  const moved: QueueReset[] = [];
  const problems: string[] = [];
  let first: unknown;
  for (const broker of brokers) {
    try {
      const isForced = call.flag('force', true);
      const what = { group, topic, timestampMs, isForced, queueId, offset };
      moved.push(...(await resetOffsets(call.wire, broker, what)));
    } catch (reason) {
      first ??= reason;
      problems.push(`${broker}: ${DrError.from(reason).message}`);
    }
  }
  if (moved.length === 0 && first !== undefined) throw first;
  return { ...movedAnswer({ group, topic, timestampMs }, moved), problems };
}

function movedAnswer(what: object, queues: QueueReset[]): AdminAnswer {
  const rows = queues.map((row) => [row.brokerName, row.queueId, row.offset]);
  return { json: { ...what, queues }, head: ['Broker', 'QID', 'Offset'], rows };
}

export const resetOffsetByTime: AdminAction = (call) => reset(call, call.time('timestamp') ?? -1);

export const skipAccumulatedMessage: AdminAction = (call) => reset(call, -1);

export const cloneGroupOffset: AdminAction = async (call) => {
  const groups = { from: call.must('srcGroup'), to: call.must('destGroup') };
  const topic = call.must('topic');
  const queues = await copyOffsets(call.wire, groups, topic);
  if (queues.length > 0) return movedAnswer({ ...groups, topic }, queues);
  throw new DrError('NOT_FOUND', `group ${groups.from} has no offsets of topic ${topic}`, {
    hint: `dr admin consumerProgress -g ${groups.from} shows its topics`,
  });
};
