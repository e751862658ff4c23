// Admin actions about brokers: who is there, how they are, their configuration, clean-ups.

import { DrError } from '../../../core-broker/base/index.ts';
import {
  type BrokerPlace,
  type JsonMap,
  readConnections,
  readSettings,
  runtimeInfo,
  timeText,
  writeSetting,
} from '../../../core-broker/client/index.ts';
import { RequestCode, versionText } from '../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminAnswer, AdminCall } from './call.ts';
import { eachBroker } from './each.ts';

const HOUR_MS = 3_600_000;

/** The first of Apache's three rates ("10s 60s 600s"). */
const firstRate = (text: string | undefined): number => Number((text ?? '0').split(' ')[0] || 0);
const count = (info: Record<string, string>, key: string): number => Number(info[key] ?? 0);

function brokerRow(place: BrokerPlace, info: Record<string, string>) {
  const earliest = count(info, 'earliestMessageTimeStamp');
  return {
    ...place,
    version: info['brokerVersionDesc'] ?? versionText(count(info, 'brokerVersion')),
    inTps: firstRate(info['putTps']),
    outTps: firstRate(info['getTransferredTps'] ?? info['getTransferedTps']),
    sendQueue: count(info, 'sendThreadPoolQueueSize'),
    sendQueueHeadWaitMs: count(info, 'sendThreadPoolQueueHeadWaitTimeMills'),
    pullQueue: count(info, 'pullThreadPoolQueueSize'),
    pullQueueHeadWaitMs: count(info, 'pullThreadPoolQueueHeadWaitTimeMills'),
    pageCacheLockMs: count(info, 'pageCacheLockTimeMills'),
    keptHours: earliest > 0 ? (Date.now() - earliest) / HOUR_MS : 0,
    diskRatio: count(info, 'commitLogDiskRatio'),
    isActive: info['brokerActive'] !== 'false',
    inYesterday:
      count(info, 'msgPutTotalTodayMorning') - count(info, 'msgPutTotalYesterdayMorning'),
    outYesterday:
      count(info, 'msgGetTotalTodayMorning') - count(info, 'msgGetTotalYesterdayMorning'),
    inToday: count(info, 'msgPutTotalTodayNow') - count(info, 'msgPutTotalTodayMorning'),
    outToday: count(info, 'msgGetTotalTodayNow') - count(info, 'msgGetTotalTodayMorning'),
  };
}
type BrokerRow = ReturnType<typeof brokerRow>;

const COLUMNS: readonly (readonly [string, (row: BrokerRow) => string | number])[] = [
  ['Version', (row) => row.version],
  [
    'InTPS(queue, wait)',
    (r) => `${r.inTps.toFixed(2)} (${r.sendQueue}, ${r.sendQueueHeadWaitMs} ms)`,
  ],
  [
    'OutTPS(queue, wait)',
    (r) => `${r.outTps.toFixed(2)} (${r.pullQueue}, ${r.pullQueueHeadWaitMs} ms)`,
  ],
  ['PCWait(ms)', (row) => row.pageCacheLockMs],
  ['Kept(hours)', (row) => row.keptHours.toFixed(2)],
  ['Disk(%)', (row) => (row.diskRatio * 100).toFixed(1)],
  ['Active', (row) => String(row.isActive)],
];
const TOTALS: typeof COLUMNS = [
  ['In yesterday', (row) => row.inYesterday],
  ['Out yesterday', (row) => row.outYesterday],
  ['In today', (row) => row.inToday],
  ['Out today', (row) => row.outToday],
];

export const clusterList: AdminAction = async (call) => {
  const places = await call.wire.places(call.text('clusterName'));
  const rows: BrokerRow[] = [];
  const problems: string[] = [];
  for (const place of places) {
    try {
      rows.push(brokerRow(place, await runtimeInfo(call.wire, place.address)));
    } catch (reason) {
      problems.push(`${place.brokerName} at ${place.address}: ${DrError.from(reason).message}`);
    }
  }
  const columns = call.flag('moreStats') ? TOTALS : COLUMNS;
  return {
    json: { brokers: rows, problems },
    head: ['Cluster', 'Broker', 'BID', 'Address', ...columns.map(([name]) => name)],
    rows: rows.map((row) => [
      row.cluster,
      row.brokerName,
      row.brokerId,
      row.address,
      ...columns.map(([, show]) => show(row)),
    ]),
    problems,
  };
};

/** Key -> text of every chosen broker, as one table. */
async function keyTable(
  call: AdminCall,
  ask: (address: string) => Promise<Record<string, string>>,
): Promise<AdminAnswer> {
  const { results, problems } = await eachBroker(call, ask);
  const rows = results.flatMap(({ address, value }) =>
    Object.keys(value)
      .sort()
      .map((key) =>
        results.length > 1 ? [address, key, value[key] ?? ''] : [key, value[key] ?? ''],
      ),
  );
  const json = Object.fromEntries(results.map(({ address, value }) => [address, value]));
  return {
    json,
    head: results.length > 1 ? ['Broker', 'Key', 'Value'] : ['Key', 'Value'],
    rows,
    problems,
  };
}

export const brokerStatus: AdminAction = (call) =>
  keyTable(call, (address) => runtimeInfo(call.wire, address));

export const getBrokerConfig: AdminAction = (call) =>
  keyTable(call, (address) => readSettings(call.wire, address, RequestCode.GET_BROKER_CONFIG));

export const updateBrokerConfig: AdminAction = async (call) => {
  const key = call.must('key');
  const value = call.must('value');
  const code = RequestCode.UPDATE_BROKER_CONFIG;
  const { results, problems } = await eachBroker(call, async (address) => {
    await writeSetting(call.wire, { address, code }, key, value);
    const now = await readSettings(call.wire, address, RequestCode.GET_BROKER_CONFIG);
    return now[key];
  });
  // Why read back: Apache answers success for a key it does not know, and keeps the old value then.
  for (const row of results) {
    if (row.value === value) continue;
    const told =
      row.value === undefined
        ? 'the broker has no such key'
        : `it still is ${row.value} (some keys change at the next start)`;
    problems.push(`${row.address}: ${key} was not changed: ${told}`);
  }
  const rows = results.map((row) => [row.address, key, row.value ?? '']);
  const json = results.map((row) => ({ address: row.address, key, value: row.value ?? null }));
  return { json, head: ['Broker', 'Key', 'Value'], rows, problems };
};

export const haStatus: AdminAction = async (call) => {
  const { results, problems } = await eachBroker(call, (address) =>
    call.wire.json(address, RequestCode.GET_BROKER_HA_STATUS),
  );
  const json = results.map(({ address, value }) => ({
    address,
    isMaster: value['master'] === true,
    commitLogMaxOffset: Number(value['masterCommitLogMaxOffset'] ?? 0),
    inSyncSlaves: Number(value['inSyncSlaveNums'] ?? 0),
    slaves: ((value['haConnectionInfo'] ?? []) as JsonMap[]).map((slave) => ({
      address: String(slave['addr'] ?? ''),
      ackOffset: Number(slave['slaveAckOffset'] ?? 0),
      diffBytes: Number(slave['diff'] ?? 0),
      bytesPerSecond: Number(slave['transferredByteInSecond'] ?? 0),
      isInSync: slave['inSync'] === true,
    })),
  }));
  const rows = json.flatMap((row) => {
    const head = [row.address, row.commitLogMaxOffset];
    if (row.slaves.length === 0) return [[...head, '-', '', '', '', '']];
    return row.slaves.map((s) => [
      ...head,
      s.address,
      s.ackOffset,
      s.diffBytes,
      (s.bytesPerSecond / 1024).toFixed(1),
      s.isInSync ? 'in sync' : 'behind',
    ]);
  });
  const head = ['Master', 'Log end', 'Copy', 'Acked', 'Behind(bytes)', 'KiB/s', 'State'];
  return { json, head, rows, problems };
};

const cleaning =
  (code: number, done: string): AdminAction =>
  async (call) => {
    const { results, problems } = await eachBroker(call, (address) =>
      call.wire.call(address, code),
    );
    const json = results.map(({ address }) => ({ address, done: true }));
    return { json, text: results.map((row) => `${row.address}: ${done}`).join('\n'), problems };
  };

export const cleanExpiredCQ = cleaning(
  RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE,
  'expired consume queue files deleted',
);
export const cleanUnusedTopic = cleaning(
  RequestCode.CLEAN_UNUSED_TOPIC,
  'consume queues without topic deleted',
);
export const deleteExpiredCommitLog = cleaning(
  RequestCode.DELETE_EXPIRED_COMMITLOG,
  'expired commit-log files deleted',
);

export const producer: AdminAction = async (call) => {
  const { results, problems } = await eachBroker(call, (address) =>
    call.wire.json(address, RequestCode.GET_ALL_PRODUCER_INFO),
  );
  const json = results.flatMap(({ address, value }) =>
    Object.entries((value['data'] ?? {}) as Record<string, JsonMap[]>).flatMap(([group, members]) =>
      readConnections(members).map((member, at) => ({
        broker: address,
        group,
        ...member,
        lastUpdateMs: Number(members[at]?.['lastUpdateTimestamp'] ?? 0),
      })),
    ),
  );
  const head = ['Group', 'Client', 'Address', 'Language', 'Version', 'Last heartbeat'];
  const rows = json.map((row) => [
    row.group,
    row.clientId,
    row.clientAddr,
    row.language,
    versionText(row.version),
    timeText(row.lastUpdateMs),
  ]);
  return { json, head, rows, problems };
};
