// Admin actions that count and time: rates of topics and groups, how long sends take.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  groupProgress,
  groupsOf,
  Producer,
  type RateRow,
  routeOf,
  statsOf,
} from '../../../core-broker/client/index.ts';
import type { AdminAction, AdminCall } from './call.ts';

const NONE: RateRow = { tps: 0, minute: 0, hour: 0, day: 0 };

async function summed(call: AdminCall, topic: string, name: string, key: string): Promise<RateRow> {
  const route = await routeOf(call.wire, topic);
  const sum = { ...NONE };
  for (const data of route.brokerDatas) {
    const address = data.brokerAddrs['0'];
    if (address === undefined) continue;
    const row = (await statsOf(call.wire, address, name, key)) ?? NONE;
    for (const span of ['tps', 'minute', 'hour', 'day'] as const) sum[span] += row[span];
  }
  return sum;
}

/** One line per group of a topic; a topic that nobody reads has one line without a group. */
async function statsOfTopic(call: AdminCall, topic: string) {
  const put = await summed(call, topic, 'TOPIC_PUT_NUMS', topic);
  const groups = await groupsOf(call.wire, topic);
  const base = { topic, inTps: put.tps, inDay: put.day };
  if (groups.length === 0) {
    return [{ ...base, group: null, backlog: null, outTps: 0, outDay: 0 }];
  }
  const rows: (typeof base & Record<'group' | 'backlog' | 'outTps' | 'outDay', unknown>)[] = [];
  for (const group of groups) {
    const get = await summed(call, topic, 'GROUP_GET_NUMS', `${topic}@${group}`);
    const backlog = await backlogOf(call, group, topic);
    rows.push({ ...base, group, backlog, outTps: get.tps, outDay: get.day });
  }
  return rows;
}

async function backlogOf(call: AdminCall, group: string, topic: string): Promise<number | null> {
  try {
    return (await groupProgress(call.wire, group, topic)).diffTotal;
  } catch (reason) {
    if (DrError.is(reason, 'NOT_FOUND', 'REMOTE')) return null;
    throw reason;
  }
}

export const statsAll: AdminAction = async (call) => {
  const only = call.text('topic');
  const names = only === undefined ? await call.wire.topics() : [only];
  const json: Awaited<ReturnType<typeof statsOfTopic>>[number][] = [];
  const problems: string[] = [];
  for (const topic of names) {
    if (only === undefined && /^%(RETRY|DLQ)%/.test(topic)) continue;
    try {
      json.push(...(await statsOfTopic(call, topic)));
    } catch (reason) {
      if (only !== undefined) throw reason;
      // Why passed over: a name server lists system names that no broker holds.
      if (!DrError.is(reason, 'NO_ROUTE')) problems.push(`${topic}: ${String(reason)}`);
    }
  }
  const shown = call.flag('activeTopic') ? json.filter((row) => Number(row.inDay) > 0) : json;
  const head = ['Topic', 'Group', 'Backlog', 'In/s', 'Out/s', 'In 24 h', 'Out 24 h'];
  const rows = shown.map((row) => [
    row.topic,
    String(row.group ?? '-'),
    String(row.backlog ?? '-'),
    row.inTps.toFixed(2),
    Number(row.outTps).toFixed(2),
    row.inDay,
    Number(row.outDay),
  ]);
  return { json: shown, head, rows, problems };
};

interface SendTimes {
  brokerName: string;
  sent: number;
  failed: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** Sends one after the other to one broker, or to wherever the route leads. */
async function timeSends(
  call: AdminCall,
  topic: string,
  wish: { amount: number; size: number; brokerName?: string },
): Promise<SendTimes> {
  const { nameservers } = call.wire;
  const producer = new Producer({ nameservers, group: `dr_admin_rt_${Date.now()}`, retryTimes: 0 });
  const body = Buffer.alloc(wish.size, 'a');
  const times: number[] = [];
  let failed = 0;
  const { brokerName } = wish;
  const queue = brokerName === undefined ? {} : { queue: { brokerName, queueId: 0 } };
  producer.start();
  try {
    for (let i = 0; i < wish.amount; i++) {
      const startMs = performance.now();
      try {
        await producer.send({ topic, body, ...queue });
        times.push(performance.now() - startMs);
      } catch (reason) {
        failed++;
        if (failed === wish.amount) throw reason;
      }
    }
  } finally {
    await producer.stop();
  }
  times.sort((left, right) => left - right);
  const at = (share: number): number =>
    Number((times[Math.ceil(times.length * share) - 1] ?? 0).toFixed(3));
  const [p50Ms, p99Ms, maxMs] = [at(0.5), at(0.99), at(1)];
  return { brokerName: brokerName ?? '', sent: times.length, failed, p50Ms, p99Ms, maxMs };
}

const HEAD = ['Sent', 'Failed', 'p50(ms)', 'p99(ms)', 'Max(ms)'];
const cells = (row: SendTimes) => [row.sent, row.failed, row.p50Ms, row.p99Ms, row.maxMs];
const failures = (rows: SendTimes[]): string[] =>
  rows.filter((row) => row.failed > 0).map((row) => `${row.failed} sends failed ${row.brokerName}`);

export const checkMsgSendRT: AdminAction = async (call) => {
  const topic = call.must('topic');
  await call.wire.routes.refresh(topic);
  const wish = { amount: call.number('amount', 100), size: call.number('size', 128) };
  const row = await timeSends(call, topic, wish);
  return { json: { topic, ...row }, head: HEAD, rows: [cells(row)], problems: failures([row]) };
};

export const clusterRT: AdminAction = async (call) => {
  const json: (SendTimes & { cluster: string })[] = [];
  const problems: string[] = [];
  for (const { cluster, brokerName } of await call.wire.masters(call.text('cluster'))) {
    const wish = { amount: call.number('amount', 20), size: call.number('size', 128), brokerName };
    try {
      // Every broker makes a topic of its own name for such checks.
      json.push({ cluster, ...(await timeSends(call, brokerName, wish)) });
    } catch (reason) {
      problems.push(`${brokerName}: ${DrError.from(reason).message}`);
    }
  }
  const rows = json.map((row) => [row.cluster, row.brokerName, ...cells(row)]);
  return {
    json,
    head: ['Cluster', 'Broker', ...HEAD],
    rows,
    problems: [...problems, ...failures(json)],
  };
};
