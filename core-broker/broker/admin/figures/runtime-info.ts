// The figures of GET_BROKER_RUNTIME_INFO: every value is text, numbers always parse. Keys that describe
// thread pools Apache has and we do not are given as 0, because the tools parse them.
// Source: AdminBrokerProcessor.prepareRuntimeInfo, StoreStatsService.getRuntimeInfo, behaviour only.
import * as fs from 'node:fs';
import { OUR_VERSION, OUR_VERSION_TEXT, Topic } from '../../../protocol/index.ts';
import type { HandlerContext } from '../../handler-context.ts';

/** Pool -> Apache's default capacity, which tools show as a share. */
const POOLS = { send: 10_000, pull: 100_000, litePull: 100_000, query: 20_000, ack: 100_000 };
const END_TRANSACTION_CAPACITY = 100_000;

type Figures = Record<string, string | number>;

export function runtimeInfo(context: HandlerContext): Record<string, string> {
  const table: Figures = {
    brokerActive: 'true',
    brokerVersion: OUR_VERSION,
    brokerVersionDesc: OUR_VERSION_TEXT,
    startAcceptSendRequestTimeStamp: context.parts.config.startAcceptSendRequestTimeStamp,
    ...totals(context),
    ...rates(context),
    ...logFigures(context),
    ...scheduleFigures(context),
    ...timerFigures(context),
    ...pools(),
  };
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, String(value)]));
}

function totals({ stats, parts }: HandlerContext): Figures {
  const { mornings, userTotals } = stats;
  // Why 1: Apache never shows 0 here, it divides by it.
  const times = Math.max(stats.putTotal, 1);
  return {
    bootTimestamp: stats.bootMs,
    runtime: runtimeText(parts.clock.nowMs() - stats.bootMs),
    putMessageTimesTotal: times,
    putMessageFailedTimes: stats.putFailedTotal,
    putMessageSizeTotal: stats.putBytesTotal,
    putMessageAverageSize: stats.putBytesTotal / times,
    msgPutTotalYesterdayMorning: mornings.putYesterday,
    msgPutTotalTodayMorning: mornings.putToday,
    msgPutTotalTodayNow: userTotals.put,
    msgGetTotalYesterdayMorning: mornings.getYesterday,
    msgGetTotalTodayMorning: mornings.getToday,
    msgGetTotalTodayNow: userTotals.get,
  };
}

function rates({ stats }: HandlerContext): Figures {
  const transferred = stats.rates.text('getTotal');
  return {
    putTps: stats.rates.text('putTotal'),
    getFoundTps: stats.rates.text('getFoundTimes'),
    getMissTps: stats.rates.text('getMissTotal'),
    getTotalTps: stats.rates.text('getFoundTimes', 'getMissTotal'),
    // 5.x reads the first spelling, 4.9 the second.
    getTransferredTps: transferred,
    getTransferedTps: transferred,
    putMessageEntireTimeMax: Math.round(stats.putTimes.maxMs),
    getMessageEntireTimeMax: Math.round(stats.getMaxMs),
    putMessageDistributeTime: stats.putTimes.text(),
    putLatency99: stats.putTimes.quantileMs(0.99).toFixed(2),
    putLatency999: stats.putTimes.quantileMs(0.999).toFixed(2),
  };
}

/** `[ 0 days, 1 hours, 2 minutes, 3 seconds ]`. */
function runtimeText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3_600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${seconds % 60} seconds ]`;
}

function logFigures(context: HandlerContext): Figures {
  const { config, store } = context.parts;
  const bounds = store.storeBounds();
  const ratio = diskRatio(config.storePathCommitLog);
  return {
    commitLogMinOffset: bounds.minOffset,
    commitLogMaxOffset: bounds.maxOffset,
    commitLogDiskRatio: ratio,
    [`commitLogDiskRatio_${config.storePathCommitLog}`]: ratio,
    consumeQueueDiskRatio: diskRatio(config.storePathRootDir),
    commitLogDirCapacity: capacity(config.storePathRootDir),
    dispatchMaxBuffer: 0,
    dispatchBehindBytes: bounds.maxOffset - bounds.dispatchedOffset,
    remainHowManyDataToFlush: sizeText(bounds.maxOffset - bounds.flushedOffset),
    remainHowManyDataToCommit: sizeText(bounds.maxOffset - bounds.writtenOffset),
    remainTransientStoreBufferNumbs: 0,
    pageCacheLockTimeMills: 0,
    earliestMessageTimeStamp: earliestStoreTime(context),
  };
}

/** Used share of the disk, 0 to 1. */
export function diskRatio(folder: string): number {
  const disk = fs.statfsSync(folder);
  return disk.blocks === 0 ? 0 : Number((1 - disk.bavail / disk.blocks).toFixed(4));
}

/** Apache's sentence about the disk under the store. */
function capacity(folder: string): string {
  const { blocks, bfree, bsize } = fs.statfsSync(folder);
  return `Total : ${sizeText(blocks * bsize)}, Free : ${sizeText(bfree * bsize)}.`;
}

/** `17 B`, `1.5 KiB`, `2.0 GiB`: Apache's form. */
function sizeText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 6);
  return `${(bytes / 1_024 ** power).toFixed(1)} ${'KMGTPE'[power - 1]}iB`;
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

/** Java prints a float with one digit at least. */
const asFloat = (value: number): string => (Number.isInteger(value) ? `${value}.0` : `${value}`);

function timerFigures(context: HandlerContext): Figures {
  const figures = context.timers.figures();
  return {
    timerReadBehind: Math.floor(figures.readBehindMs / 1_000),
    timerOffsetBehind: figures.offsetBehind,
    timerCongestNum: figures.waiting,
    timerEnqueueTps: asFloat(figures.enqueueTps),
    timerDequeueTps: asFloat(figures.dequeueTps),
  };
}

function scheduleFigures(context: HandlerContext): Figures {
  const { store, tables } = context.parts;
  const table: Figures = {};
  for (let level = 1; level <= context.levelsMs.length; level++) {
    const max = store.bounds({ topic: Topic.SCHEDULE, queueId: level - 1 })?.max ?? 0;
    table[`scheduleMessageOffset_${level}`] = `${tables.delays.get(level)},${max}`;
  }
  return table;
}

function pools(): Figures {
  const table: Figures = {
    EndTransactionQueueSize: 0,
    EndTransactionThreadPoolQueueCapacity: END_TRANSACTION_CAPACITY,
  };
  for (const [pool, capacityOf] of Object.entries(POOLS)) {
    table[`${pool}ThreadPoolQueueSize`] = 0;
    table[`${pool}ThreadPoolQueueCapacity`] = capacityOf;
    table[`${pool}ThreadPoolQueueHeadWaitTimeMills`] = 0;
  }
  return table;
}
