// The figures of GET_BROKER_RUNTIME_INFO: every value is text, numbers always parse. Keys that describe
// thread pools Apache has and we do not are given as 0, because the tools parse them.
// Source: AdminBrokerProcessor.prepareRuntimeInfo, behaviour only.
import * as fs from 'node:fs';
import { OUR_VERSION, OUR_VERSION_TEXT, Topic } from '../../protocol/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import { BrokerStats } from '../stats/index.ts';

const POOLS = ['send', 'pull', 'litePull', 'query', 'ack'];

export function runtimeInfo(context: HandlerContext): Record<string, string> {
  const table: Record<string, string | number> = {
    ...totals(context),
    ...logFigures(context),
    ...scheduleFigures(context),
    brokerActive: 'true',
    brokerVersion: OUR_VERSION,
    brokerVersionDesc: OUR_VERSION_TEXT,
    EndTransactionQueueSize: 0,
    EndTransactionThreadPoolQueueCapacity: 0,
  };
  for (const pool of POOLS) {
    table[`${pool}ThreadPoolQueueSize`] = 0;
    table[`${pool}ThreadPoolQueueCapacity`] = 0;
    table[`${pool}ThreadPoolQueueHeadWaitTimeMills`] = 0;
  }
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, String(value)]));
}

function totals(context: HandlerContext): Record<string, string | number> {
  const { stats } = context;
  const nowMs = context.parts.clock.nowMs();
  const puts = stats.perSecond('BROKER_PUT_NUMS', BrokerStats.BROKER_KEY);
  const gets = stats.perSecond('BROKER_GET_NUMS', BrokerStats.BROKER_KEY);
  const three = (perSecond: number): string => Array(3).fill(perSecond.toFixed(2)).join(' ');
  const runtimeMs = nowMs - stats.bootMs;
  return {
    bootTimestamp: stats.bootMs,
    runtime: `[ ${Math.floor(runtimeMs / 86_400_000)} days, ${Math.floor(runtimeMs / 1_000) % 86_400} seconds ]`,
    putMessageTimesTotal: stats.putTotal,
    putMessageFailedTimes: stats.putFailedTotal,
    putMessageSizeTotal: stats.putBytesTotal,
    putMessageAverageSize: stats.putTotal === 0 ? 0 : stats.putBytesTotal / stats.putTotal,
    putMessageEntireTimeMax: 0,
    getMessageEntireTimeMax: 0,
    putTps: three(puts),
    getFoundTps: three(gets),
    getMissTps: three(0),
    getTotalTps: three(gets),
    getTransferredTps: three(gets),
    getTransferedTps: three(gets),
    msgPutTotalYesterdayMorning: 0,
    msgPutTotalTodayMorning: 0,
    msgPutTotalTodayNow: stats.putTotal,
    msgGetTotalYesterdayMorning: 0,
    msgGetTotalTodayMorning: 0,
    msgGetTotalTodayNow: stats.getTotal,
    startAcceptSendRequestTimeStamp: context.parts.config.startAcceptSendRequestTimeStamp,
  };
}

function logFigures(context: HandlerContext): Record<string, string | number> {
  const { config, store } = context.parts;
  const bounds = store.storeBounds();
  const ratio = diskRatio(config.storePathRootDir);
  return {
    commitLogMinOffset: bounds.minOffset,
    commitLogMaxOffset: bounds.maxOffset,
    commitLogDiskRatio: ratio,
    [`commitLogDiskRatio_${config.storePathCommitLog}`]: ratio,
    consumeQueueDiskRatio: ratio,
    commitLogDirCapacity: capacity(config.storePathCommitLog),
    dispatchMaxBuffer: 0,
    dispatchBehindBytes: bounds.maxOffset - bounds.dispatchedOffset,
    remainHowManyDataToFlush: `${bounds.maxOffset - bounds.flushedOffset} B`,
    remainHowManyDataToCommit: `${bounds.maxOffset - bounds.writtenOffset} B`,
    remainTransientStoreBufferNumbs: 0,
    pageCacheLockTimeMills: 0,
    earliestMessageTimeStamp: earliestStoreTime(context),
    putLatency99: 0,
    putLatency999: 0,
  };
}

/** Used share of the disk, 0 to 1. */
function diskRatio(folder: string): number {
  const disk = fs.statfsSync(folder);
  return disk.blocks === 0 ? 0 : Number((1 - disk.bavail / disk.blocks).toFixed(4));
}

/** Apache's sentence about the disk under the log. */
function capacity(folder: string): string {
  const disk = fs.statfsSync(folder);
  const gib = (blocks: number): string => `${((blocks * disk.bsize) / 2 ** 30).toFixed(1)} GiB`;
  return `Total : ${gib(disk.blocks)}, Free : ${gib(disk.bfree)}.`;
}

/** Store time of the oldest message there is, -1 when there is none. */
function earliestStoreTime(context: HandlerContext): number {
  const { store } = context.parts;
  const { minOffset, maxOffset } = store.storeBounds();
  if (maxOffset <= minOffset) return -1;
  let earliest = -1;
  for (const queue of store.queues()) {
    if (queue.max <= queue.min) continue;
    const storeMs = store.storeTimeOf(queue, queue.min);
    if (earliest < 0 || storeMs < earliest) earliest = storeMs;
  }
  return earliest;
}

function scheduleFigures(context: HandlerContext): Record<string, string> {
  const { store, tables } = context.parts;
  const table: Record<string, string> = {};
  for (let level = 1; level <= context.levelsMs.length; level++) {
    const max = store.bounds({ topic: Topic.SCHEDULE, queueId: level - 1 })?.max ?? 0;
    table[`scheduleMessageOffset_${level}`] = `${tables.delays.get(level)},${max}`;
  }
  return table;
}
