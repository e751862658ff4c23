// Admin actions that go to every name server of -n: they do not talk to each other, so each is told.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  ORDER_NAMESPACE,
  readKv,
  readSettings,
  writeSetting,
} from '../../../core-broker/client/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminCall } from './call.ts';

function listOf(call: AdminCall): readonly string[] {
  if (call.wire.nameservers.length > 0) return call.wire.nameservers;
  throw new DrError('USAGE', 'no name server given');
}

export const getNamesrvConfig: AdminAction = async (call) => {
  const json: Record<string, Record<string, string>> = {};
  for (const address of listOf(call)) {
    json[address] = await readSettings(call.wire, address, RequestCode.GET_NAMESRV_CONFIG);
  }
  const rows = Object.entries(json).flatMap(([address, table]) =>
    Object.keys(table)
      .sort()
      .map((key) => [address, key, table[key] ?? '']),
  );
  return { json, head: ['Name server', 'Key', 'Value'], rows };
};

export const updateNamesrvConfig: AdminAction = async (call) => {
  const key = call.must('key');
  const value = call.must('value');
  const json: { address: string; key: string; value: string | null }[] = [];
  const problems: string[] = [];
  for (const address of listOf(call)) {
    const target = { address, code: RequestCode.UPDATE_NAMESRV_CONFIG };
    await writeSetting(call.wire, target, key, value);
    const now = (await readSettings(call.wire, address, RequestCode.GET_NAMESRV_CONFIG))[key];
    json.push({ address, key, value: now ?? null });
    if (now !== value) problems.push(`${address}: ${key} was not changed`);
  }
  const rows = json.map((row) => [row.address, row.key, row.value ?? '']);
  return { json, head: ['Name server', 'Key', 'Value'], rows, problems };
};

const permission =
  (code: number, counter: string, done: string): AdminAction =>
  async (call) => {
    const brokerName = call.must('brokerName');
    const known = (await call.wire.places()).map((place) => place.brokerName);
    if (!known.includes(brokerName)) {
      throw new DrError('NOT_FOUND', `no broker ${brokerName}`, {
        hint: `registered brokers: ${known.join(', ') || 'none'}`,
      });
    }
    const answers = await call.wire.tellAll(code, { brokerName });
    const json = [...answers].map(([address, answer]) => ({
      nameserver: address,
      brokerName,
      topics: Number(answer.ext[counter] ?? 0),
    }));
    const lines = json.map(
      (row) => `${row.nameserver}: ${done} ${brokerName} on ${row.topics} topics`,
    );
    return { json, text: lines.join('\n') };
  };

export const wipeWritePerm = permission(
  RequestCode.WIPE_WRITE_PERM_OF_BROKER,
  'wipeTopicCount',
  'write permission taken from',
);
export const addWritePerm = permission(
  RequestCode.ADD_WRITE_PERM_OF_BROKER,
  'addTopicCount',
  'write permission given to',
);

async function putKv(call: AdminCall, namespace: string, key: string, value: string) {
  await call.wire.tellAll(RequestCode.PUT_KV_CONFIG, { namespace, key, value });
  const text = `${namespace}: ${key} is now ${value} on ${listOf(call).join(', ')}`;
  return { json: { namespace, key, value, nameservers: listOf(call) }, text };
}

async function dropKv(call: AdminCall, namespace: string, key: string) {
  const before = await readKv(call.wire, namespace, key);
  if (before === undefined) throw new DrError('NOT_FOUND', `${namespace} has no key ${key}`);
  await call.wire.tellAll(RequestCode.DELETE_KV_CONFIG, { namespace, key });
  const text = `${namespace}: ${key} removed from ${listOf(call).join(', ')}; it was ${before}`;
  return { json: { namespace, key, before, nameservers: listOf(call) }, text };
}

export const updateKvConfig: AdminAction = (call) =>
  putKv(call, call.must('namespace'), call.must('key'), call.must('value'));

export const deleteKvConfig: AdminAction = (call) =>
  dropKv(call, call.must('namespace'), call.must('key'));

export const updateOrderConf: AdminAction = async (call) => {
  const topic = call.must('topic');
  const method = call.must('method');
  if (method === 'put') return putKv(call, ORDER_NAMESPACE, topic, call.must('orderConf'));
  if (method === 'delete') return dropKv(call, ORDER_NAMESPACE, topic);
  if (method !== 'get') {
    throw new DrError('USAGE', `--method: '${method}' is not get, put or delete`);
  }
  const orderConf = await readKv(call.wire, ORDER_NAMESPACE, topic);
  if (orderConf !== undefined)
    return { json: { topic, orderConf }, text: `${topic}: ${orderConf}` };
  throw new DrError('NOT_FOUND', `topic ${topic} has no order configuration`, {
    hint: `dr admin updateOrderConf -t ${topic} -m put -v BROKER:QUEUES sets one`,
  });
};
