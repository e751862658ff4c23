// Admin actions about topics: list, route, bounds, create, change, delete.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  allocateAverage,
  brokerOf,
  groupsOf,
  ORDER_NAMESPACE,
  queueEntries,
  readableQueues,
  readKv,
  removeTopic,
  routeOf,
  timeText,
  topicBounds,
  topicTable,
  writeTopic,
} from '../../../core-broker/client/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminCall } from './call.ts';
import { eachBroker } from './each.ts';

const PERMS = ['-', 'X', 'W', 'WX', 'R', 'RX', 'RW', 'RWX'];
const permText = (perm: number): string => PERMS[perm & 7] ?? String(perm);

export const topicList: AdminAction = async (call) => {
  const topics = await call.wire.topics();
  if (!call.flag('clusterModel')) {
    return { json: topics, text: topics.join('\n') };
  }
  const clusterOf = new Map<string, string>();
  for (const place of await call.wire.places()) clusterOf.set(place.brokerName, place.cluster);
  const json: { cluster: string; topic: string; groups: string[] }[] = [];
  for (const topic of topics) {
    if (/^%(RETRY|DLQ)%/.test(topic)) continue;
    const route = await routeOf(call.wire, topic).catch(noRoute);
    const names = new Set(
      route?.brokerDatas.map((data) => clusterOf.get(data.brokerName) ?? data.cluster),
    );
    const groups = route === undefined ? [] : await groupsOf(call.wire, topic);
    for (const cluster of names) json.push({ cluster, topic, groups });
  }
  const rows = json.map((row) => [row.cluster, row.topic, row.groups.join(' ')]);
  return { json, head: ['Cluster', 'Topic', 'Consumer groups'], rows };
};

/** Listed but not on any broker now: system names of the name server. */
function noRoute(reason: unknown): undefined {
  if (DrError.is(reason, 'NO_ROUTE')) return undefined;
  throw reason;
}

export const topicRoute: AdminAction = async (call) => {
  const route = await routeOf(call.wire, call.must('topic'));
  const rows = route.queueDatas.map((data) => {
    const broker = route.brokerDatas.find((row) => row.brokerName === data.brokerName);
    const addresses = Object.entries(broker?.brokerAddrs ?? {}).map(([id, at]) => `${id}: ${at}`);
    const { brokerName, readQueueNums, writeQueueNums, perm } = data;
    return [
      broker?.cluster ?? '',
      brokerName,
      addresses.join(', '),
      readQueueNums,
      writeQueueNums,
      permText(perm),
    ];
  });
  const head = ['Cluster', 'Broker', 'Addresses', 'Read queues', 'Write queues', 'Perm'];
  return { json: route, head, rows };
};

export const topicStatus: AdminAction = async (call) => {
  const queues = await topicBounds(call.wire, call.must('topic'));
  const head = ['Broker', 'QID', 'Min offset', 'Max offset', 'Last updated'];
  const rows = queues.map((row) => [
    row.brokerName,
    row.queueId,
    row.minOffset,
    row.maxOffset,
    timeText(row.lastUpdateTimestamp),
  ]);
  return { json: queues, head, rows };
};

export const topicClusterList: AdminAction = async (call) => {
  const route = await routeOf(call.wire, call.must('topic'));
  const clusters = [...new Set(route.brokerDatas.map((data) => data.cluster))].sort();
  return { json: clusters, text: clusters.join('\n') };
};

function permOf(call: AdminCall, fallback: number): number {
  const perm = call.number('perm', fallback);
  if ([0, 2, 4, 6].includes(perm)) return perm;
  throw new DrError('USAGE', `--perm: ${perm} is not 2 (write), 4 (read) or 6 (both)`);
}

const TOPIC_NAME = /^[%|a-zA-Z0-9_-]{1,127}$/;

export const updateTopic: AdminAction = async (call) => {
  const topic = call.must('topic');
  if (!TOPIC_NAME.test(topic)) {
    throw new DrError('USAGE', `--topic: '${topic}': letters, digits, _ - % | only, 1 to 127`);
  }
  const change = {
    topic,
    readQueues: call.number('readQueueNums', 8),
    writeQueues: call.number('writeQueueNums', 8),
    perm: permOf(call, 6),
    isOrder: call.flag('order'),
    sysFlag: (call.flag('unit') ? 1 : 0) | (call.flag('hasUnitSub') ? 2 : 0),
    attributes: call.text('attributes'),
  };
  const { results, problems } = await eachBroker(call, (address) =>
    writeTopic(call.wire, address, change),
  );
  if (change.isOrder) await addOrder(call, topic, change.writeQueues);
  const json = { ...change, brokers: results.map((row) => row.address), problems };
  const { readQueues, writeQueues, perm } = change;
  const text = results
    .map(
      (r) =>
        `${r.address}: topic ${topic}: ${readQueues} read, ${writeQueues} write, perm ${permText(perm)}`,
    )
    .join('\n');
  return { json, text, problems };
};

/** Ordered topics say in a table of the name servers which broker has how many queues. */
async function addOrder(call: AdminCall, topic: string, queues: number): Promise<void> {
  const address = call.address();
  const places = await call.wire.masters(call.text('clusterName'));
  const names = places
    .filter((place) => address === undefined || place.address === address)
    .map((place) => place.brokerName);
  const known = (await readKv(call.wire, ORDER_NAMESPACE, topic)) ?? '';
  const parts = new Map(
    known
      .split(';')
      .filter((part) => part !== '')
      .map((part) => [part.split(':')[0] ?? '', part] as const),
  );
  for (const name of names) parts.set(name, `${name}:${queues}`);
  const ext = { namespace: ORDER_NAMESPACE, key: topic, value: [...parts.values()].join(';') };
  await call.wire.tellAll(RequestCode.PUT_KV_CONFIG, ext);
}

export const updateTopicPerm: AdminAction = async (call) => {
  const topic = call.must('topic');
  const perm = permOf(call, -1);
  const { results, problems } = await eachBroker(call, async (address) => {
    const now = (await topicTable(call.wire, address))[topic];
    if (now === undefined) throw new DrError('NOT_FOUND', `${address} has no topic ${topic}`);
    await writeTopic(call.wire, address, {
      topic,
      readQueues: now.readQueueNums,
      writeQueues: now.writeQueueNums,
      perm,
      isOrder: now.order,
      sysFlag: now.topicSysFlag,
    });
    return now.perm;
  });
  const json = results.map((row) => ({ broker: row.address, topic, before: row.value, perm }));
  const lines = json.map(
    (r) => `${r.broker}: ${topic}: ${permText(r.before)} -> ${permText(perm)}`,
  );
  return { json, text: lines.join('\n'), problems };
};

export const deleteTopic: AdminAction = async (call) => {
  const topic = call.must('topic');
  const cluster = call.must('clusterName');
  const places = await call.wire.masters(cluster);
  const brokers = places.map((place) => place.address);
  if (!(await call.wire.topics()).includes(topic)) {
    throw new DrError('NOT_FOUND', `no topic ${topic}`, {
      hint: 'dr admin topicList names every topic',
    });
  }
  await removeTopic(call.wire, topic, brokers);
  const { nameservers } = call.wire;
  const text = `topic ${topic} deleted from ${[...brokers, ...nameservers].join(', ')}`;
  return { json: { topic, cluster, brokers, nameservers }, text };
};

export const allocateMQ: AdminAction = async (call) => {
  const topic = call.must('topic');
  const clients = [
    ...new Set(
      call
        .must('ipList')
        .split(',')
        .map((part) => part.trim()),
    ),
  ].sort();
  const queues = readableQueues(topic, await routeOf(call.wire, topic));
  const json = clients.map((client) => ({
    client,
    queues: allocateAverage(client, clients, queues).map(({ brokerName, queueId }) => ({
      brokerName,
      queueId,
    })),
  }));
  const rows = json.map((row) => [
    row.client,
    row.queues.map((queue) => `${queue.brokerName}:${queue.queueId}`).join(' '),
  ]);
  return { json, head: ['Client', 'Queues'], rows };
};

export const queryCq: AdminAction = async (call) => {
  const topic = call.must('topic');
  const route = await routeOf(call.wire, topic);
  const first = route.brokerDatas[0]?.brokerName ?? '';
  const address = call.address() ?? (await brokerOf(call.wire, topic, first));
  const found = await queueEntries(call.wire, address, {
    topic,
    queueId: call.number('queue', 0),
    index: call.number('index', 0),
    count: call.number('count', 10),
    group: call.text('consumer') ?? '',
  });
  const head = ['Index', 'Log offset', 'Size(bytes)', 'Tags code', 'Remark'];
  const rows = found.entries.map((row) => [
    row.index,
    row.physicOffset,
    row.physicSize,
    row.tagsCode,
    row.message,
  ]);
  return {
    json: { broker: address, topic, ...found },
    text: `queue from ${found.min} to ${found.max}`,
    head,
    rows,
  };
};
