// One broker as an administrator sees it: runtime info, configuration, rates, clean-ups, HA, index of
// a consume queue. Source: behaviour of mqadmin 4.9.7 and 5.5.0.
import { parseProperties } from '../../base/index.ts';
import {
  decodeConsumeStats,
  decodeKvTable,
  RequestCode,
  ResponseCode,
} from '../../protocol/index.ts';
import { remoteCode } from '../peer-client.ts';
import type { AdminWire, JsonMap } from './wire.ts';

export async function runtimeInfo(
  wire: AdminWire,
  address: string,
): Promise<Record<string, string>> {
  return decodeKvTable((await wire.call(address, RequestCode.GET_BROKER_RUNTIME_INFO)).body);
}

/** Configuration of a broker (26) or a name server (319) in the order it was sent. */
export async function readSettings(
  wire: AdminWire,
  address: string,
  code: number,
): Promise<Record<string, string>> {
  const body = (await wire.call(address, code)).body?.toString('utf8') ?? '';
  const rows = [...parseProperties(body)].map(([key, entry]) => [key, entry.value] as const);
  return Object.fromEntries(rows);
}

/** Changes one key now; Apache keeps it over restarts where it can. */
export async function writeSetting(
  wire: AdminWire,
  target: { address: string; code: number },
  key: string,
  value: string,
): Promise<void> {
  await wire.call(target.address, target.code, {}, `${key}=${value}\n`);
}

export interface RateRow {
  /** Messages a second over the last minute. */
  tps: number;
  /** Messages of the last minute, hour and day. */
  minute: number;
  hour: number;
  day: number;
}

/** Statistics of one key; undefined when the broker keeps none for it. */
export async function statsOf(
  wire: AdminWire,
  address: string,
  name: string,
  key: string,
): Promise<RateRow | undefined> {
  try {
    const ext = { statsName: name, statsKey: key };
    const found = await wire.json(address, RequestCode.VIEW_BROKER_STATS_DATA, ext);
    const part = (span: string) => (found[span] ?? {}) as JsonMap;
    return {
      tps: Number(part('statsMinute')['tps'] ?? 0),
      minute: Number(part('statsMinute')['sum'] ?? 0),
      hour: Number(part('statsHour')['sum'] ?? 0),
      day: Number(part('statsDay')['sum'] ?? 0),
    };
  } catch (reason) {
    if (remoteCode(reason) === ResponseCode.SYSTEM_ERROR) return undefined;
    throw reason;
  }
}

export type ConsumeRow = ReturnType<typeof decodeConsumeStats>[number] & { group: string };

/** Progress of every group of a broker (317). */
export async function consumeStatsOf(
  wire: AdminWire,
  address: string,
  isOrder: boolean,
): Promise<{ rows: ConsumeRow[]; totalDiff: number }> {
  const code = RequestCode.GET_BROKER_CONSUME_STATS;
  const found = await wire.json(address, code, { isOrder });
  const list = (found['consumeStatsList'] ?? []) as Record<string, JsonMap[]>[];
  const rows = list.flatMap((entry) =>
    Object.entries(entry).flatMap(([group, stats]) =>
      stats.flatMap((one) =>
        decodeConsumeStats(JSON.stringify(one)).map((row) => ({ group, ...row })),
      ),
    ),
  );
  return { rows, totalDiff: Number(found['totalDiff'] ?? 0) };
}

export interface QueueEntry {
  index: number;
  physicOffset: number;
  physicSize: number;
  tagsCode: string;
  message: string;
}

/** Entries of a consume queue (321). */
export async function queueEntries(
  wire: AdminWire,
  address: string,
  from: { topic: string; queueId: number; index: number; count: number; group: string },
): Promise<{ min: number; max: number; entries: QueueEntry[]; subscription: unknown }> {
  const ext = {
    topic: from.topic,
    queueId: from.queueId,
    index: from.index,
    count: from.count,
    consumerGroup: from.group,
  };
  const found = await wire.json(address, RequestCode.QUERY_CONSUME_QUEUE, ext);
  const data = (found['queueData'] ?? []) as JsonMap[];
  return {
    min: Number(found['minQueueIndex'] ?? 0),
    max: Number(found['maxQueueIndex'] ?? 0),
    subscription: found['subscriptionData'],
    entries: data.map((row, at) => ({
      index: from.index + at,
      physicOffset: Number(row['physicOffset'] ?? 0),
      physicSize: Number(row['physicSize'] ?? 0),
      tagsCode: String(row['tagsCode'] ?? 0),
      message: String(row['msg'] ?? ''),
    })),
  };
}
