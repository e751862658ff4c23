// Admin actions about consumer groups: settings, members, progress.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  byQueue,
  consumeStatsOf,
  DEAD_PREFIX,
  findMembers,
  type GroupProgress,
  groupMembers,
  groupProgress,
  groupTable,
  type JsonMap,
  producersOf,
  RETRY_PREFIX,
  removeTopic,
  runningInfo,
  timeText,
  writeGroup,
} from '../../../core-broker/client/index.ts';
import {
  parseMessageQueueKey,
  RequestCode,
  type SubscriptionGroupConfig,
  versionText,
} from '../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminCall } from './call.ts';
import { eachBroker } from './each.ts';

export const updateSubGroup: AdminAction = async (call) => {
  const group = call.must('groupName');
  const { results, problems } = await eachBroker(call, async (address) => {
    const before = (await groupTable(call.wire, address))[group];
    await writeGroup(call.wire, address, group, { ...before, ...changesOf(call) });
    return (await groupTable(call.wire, address))[group];
  });
  const json = results.map((row) => ({ broker: row.address, ...row.value }));
  const rows = results.flatMap((row) =>
    Object.entries(row.value ?? {}).map(([key, value]) => [
      row.address,
      key,
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]),
  );
  return { json, head: ['Broker', 'Setting', 'Value'], rows, problems };
};

const FLAGS = [
  ['consumeEnable', 'consumeEnable'],
  ['consumeFromMinEnable', 'consumeFromMinEnable'],
  ['consumeBroadcastEnable', 'consumeBroadcastEnable'],
  ['consumeMessageOrderly', 'consumeMessageOrderly'],
  ['notifyConsumerIdsChanged', 'notifyConsumerIdsChangedEnable'],
] as const;
const COUNTS = [
  'retryQueueNums',
  'retryMaxTimes',
  'brokerId',
  'whichBrokerWhenConsumeSlowly',
] as const;

/** Only what was given: the rest of the group stays as it is. */
function changesOf(call: AdminCall): Partial<SubscriptionGroupConfig> {
  const changes: Partial<SubscriptionGroupConfig> = {};
  for (const [option, key] of FLAGS) {
    if (call.text(option) !== undefined) changes[key] = call.flag(option);
  }
  for (const key of COUNTS) {
    if (call.text(key) !== undefined) changes[key] = call.number(key, 0);
  }
  return changes;
}

export const deleteSubGroup: AdminAction = async (call) => {
  const group = call.must('groupName');
  const { results, problems } = await eachBroker(call, async (address) => {
    const table = await groupTable(call.wire, address);
    if (table[group] === undefined) {
      throw new DrError('NOT_FOUND', `${address} has no group ${group}`);
    }
    const ext = { groupName: group, cleanOffset: call.flag('removeOffset') };
    await call.wire.call(address, RequestCode.DELETE_SUBSCRIPTIONGROUP, ext);
  });
  const brokers = results.map((row) => row.address);
  // As mqadmin: a whole cluster loses the group's own topics too, one broker of many does not.
  const topics = call.address() === undefined ? [RETRY_PREFIX + group, DEAD_PREFIX + group] : [];
  for (const topic of topics) await removeTopic(call.wire, topic, brokers);
  const text = `group ${group} deleted from ${brokers.join(', ')}`;
  return { json: { group, brokers, topics }, text, problems };
};

export const consumerProgress: AdminAction = async (call) => {
  const group = call.text('groupName');
  if (group === undefined) return allGroups(call);
  const progress = await groupProgress(call.wire, group, call.text('topicName'));
  const clients = call.flag('showClientIP') ? await clientsOfQueues(call, group) : undefined;
  const queues = progress.queues.map((row) => ({
    ...row,
    client: clients?.get(`${row.topic} ${row.brokerName} ${row.queueId}`),
  }));
  const head = ['Topic', 'Broker', 'QID', 'Broker offset', 'Consumer offset', 'Diff', 'Inflight'];
  const rows = queues.map((row) => [
    row.topic,
    row.brokerName,
    row.queueId,
    row.brokerOffset,
    row.consumerOffset,
    row.diff,
    row.inflight,
    ...(clients ? [row.client ?? '-'] : []),
    timeText(row.lastTimestamp),
  ]);
  const { consumeTps, diffTotal, inflightTotal } = progress;
  return {
    json: { group, consumeTps, diffTotal, inflightTotal, queues },
    text: `consume rate ${consumeTps.toFixed(2)}/s, diff ${diffTotal}, inflight ${inflightTotal}`,
    head: [...head, ...(clients ? ['Client'] : []), 'Last consumed'],
    rows,
  };
};

async function allGroups(call: AdminCall) {
  const groups = (await call.wire.topics())
    .filter((topic) => topic.startsWith(RETRY_PREFIX))
    .map((topic) => topic.slice(RETRY_PREFIX.length));
  const json: (ReturnType<typeof groupLine> & { group: string })[] = [];
  const problems: string[] = [];
  for (const group of groups) {
    try {
      const progress = await groupProgress(call.wire, group);
      json.push({ group, ...groupLine(progress, await findMembers(call.wire, group)) });
    } catch (reason) {
      problems.push(`${group}: ${DrError.from(reason).message}`);
    }
  }
  const head = ['Group', 'Members', 'Version', 'Type', 'Model', 'TPS', 'Diff total'];
  const rows = json.map((r) => [
    r.group,
    r.members,
    r.version,
    r.consumeType,
    r.messageModel,
    r.consumeTps.toFixed(2),
    r.diffTotal,
  ]);
  return { json, head, rows, problems };
}

function groupLine(progress: GroupProgress, found: Awaited<ReturnType<typeof findMembers>>) {
  const members = found?.members.connections ?? [];
  const oldest = members.reduce((least, row) => Math.min(least, row.version), Number.MAX_VALUE);
  return {
    members: members.length,
    version: members.length === 0 ? 'OFFLINE' : versionText(oldest),
    consumeType: found?.members.consumeType ?? '',
    messageModel: found?.members.messageModel ?? '',
    consumeTps: progress.consumeTps,
    diffTotal: progress.diffTotal,
  };
}

/** Which member holds which queue, by asking each one. */
async function clientsOfQueues(call: AdminCall, group: string): Promise<Map<string, string>> {
  const clients = new Map<string, string>();
  const found = await findMembers(call.wire, group);
  for (const { clientId } of found?.members.connections ?? []) {
    const who = { group, clientId, withStack: false };
    const info = await runningInfo(call.wire, found?.address ?? '', who);
    for (const key of Object.keys((info['mqTable'] ?? {}) as JsonMap)) {
      const { topic, brokerName, queueId } = parseMessageQueueKey(key);
      clients.set(`${topic} ${brokerName} ${queueId}`, clientId.split('@')[0] ?? clientId);
    }
  }
  return clients;
}

async function membersOf(call: AdminCall, group: string) {
  const address = call.address();
  const found =
    address === undefined
      ? await findMembers(call.wire, group)
      : { address, members: await groupMembers(call.wire, address, group) };
  if (found?.members) return { address: found.address, members: found.members };
  throw new DrError('NOT_FOUND', `no member of group ${group} is online`, {
    hint: 'dr admin consumerProgress -g shows its offsets all the same',
  });
}

export const consumerConnection: AdminAction = async (call) => {
  const group = call.must('consumerGroup');
  const { members } = await membersOf(call, group);
  const { consumeType, messageModel, consumeFromWhere, subscriptions, connections } = members;
  const lines = Object.entries(subscriptions).map(
    ([topic, row]) => `  ${topic}: ${row.subString} (${row.expressionType})`,
  );
  const text = [
    `${consumeType} ${messageModel} ${consumeFromWhere}`,
    'subscriptions:',
    ...lines,
  ].join('\n');
  const head = ['Client', 'Address', 'Language', 'Version'];
  const rows = connections.map((row) => [
    row.clientId,
    row.clientAddr,
    row.language,
    versionText(row.version),
  ]);
  return { json: { group, ...members }, text, head, rows };
};

export const consumerStatus: AdminAction = async (call) => {
  const group = call.must('consumerGroup');
  const { address, members } = await membersOf(call, group);
  const wanted = call.text('clientId');
  const clients = members.connections
    .map((row) => row.clientId)
    .filter((id) => wanted === undefined || id === wanted);
  if (clients.length === 0) {
    throw new DrError('NOT_FOUND', `group ${group} has no member ${wanted}`, {
      hint: `members: ${members.connections.map((row) => row.clientId).join(', ')}`,
    });
  }
  const json: { clientId: string; info: JsonMap }[] = [];
  const problems: string[] = [];
  for (const clientId of clients) {
    try {
      const who = { group, clientId, withStack: call.flag('jstack') };
      json.push({ clientId, info: await runningInfo(call.wire, address, who) });
    } catch (reason) {
      problems.push(`${clientId}: ${DrError.from(reason).message}`);
    }
  }
  const text = json.map(({ clientId, info }) => statusText(clientId, info)).join('\n\n');
  return { json, text, problems };
};

function statusText(clientId: string, info: JsonMap): string {
  const properties = Object.entries((info['properties'] ?? {}) as JsonMap);
  const queues = Object.entries((info['mqTable'] ?? {}) as Record<string, JsonMap>).map(
    ([key, row]) => {
      const queue = parseMessageQueueKey(key);
      const at = `${queue.topic} ${queue.brokerName} ${queue.queueId}`;
      return `  ${at}: committed ${row['commitOffset']}, cached ${row['cachedMsgCount']}`;
    },
  );
  const stack = typeof info['jstack'] === 'string' ? ['threads:', info['jstack']] : [];
  return [
    `client ${clientId}`,
    ...properties.map(([key, value]) => `  ${key}: ${String(value)}`),
    'queues:',
    ...queues,
    ...stack,
  ].join('\n');
}

export const producerConnection: AdminAction = async (call) => {
  const json = await producersOf(call.wire, call.must('topic'), call.must('producerGroup'));
  const rows = json.map((row) => [
    row.clientId,
    row.clientAddr,
    row.language,
    versionText(row.version),
  ]);
  return { json, head: ['Client', 'Address', 'Language', 'Version'], rows };
};

export const brokerConsumeStats: AdminAction = async (call) => {
  const address = call.address() ?? call.must('brokerAddr');
  const level = call.number('level', 0);
  const stats = await consumeStatsOf(call.wire, address, call.flag('order'));
  const queues = stats.rows
    .map((row) => ({ ...row, diff: row.brokerOffset - row.consumerOffset }))
    .filter((row) => row.diff >= level)
    .sort((left, right) => left.group.localeCompare(right.group) || byQueue(left, right));
  const head = ['Topic', 'Group', 'Broker', 'QID', 'Broker offset', 'Consumer offset', 'Diff'];
  const rows = queues.map((row) => [
    row.topic,
    row.group,
    row.brokerName,
    row.queueId,
    row.brokerOffset,
    row.consumerOffset,
    row.diff,
    timeText(row.lastTimestamp),
  ]);
  const json = { broker: address, diffTotal: stats.totalDiff, queues };
  return { json, text: `diff total ${stats.totalDiff}`, head: [...head, 'Last consumed'], rows };
};

export const setConsumeMode: AdminAction = async (call) => {
  const mode = call.must('mode').toUpperCase();
  if (mode !== 'PULL' && mode !== 'POP') {
    throw new DrError('USAGE', `--mode: '${mode}' is not PULL or POP`);
  }
  const body = JSON.stringify({
    topic: call.must('topicName'),
    consumerGroup: call.must('groupName'),
    mode,
    popShareQueueNum: call.number('popShareQueueNum', 0),
  });
  const { results, problems } = await eachBroker(call, (address) =>
    call.wire.call(address, RequestCode.SET_MESSAGE_REQUEST_MODE, {}, body),
  );
  const text = results.map((row) => `${row.address}: ${call.must('groupName')} now uses ${mode}`);
  return {
    json: results.map((row) => ({ broker: row.address, mode })),
    text: text.join('\n'),
    problems,
  };
};
