// A store in a temporary folder of its own, with small files so that rolls happen.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { MessageStore, RecordSource, StoreOptions } from '../../core-broker/store/index.ts';

export function tempFolder(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'dr-store-'));
}

export function smallStoreOptions(
  rootDir: string,
  changed: Partial<StoreOptions> = {},
): StoreOptions {
  return {
    rootDir,
    commitLogDir: '',
    mappedFileSizeCommitLog: 64 * 1024,
    mappedFileSizeConsumeQueue: 100 * 20,
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLogMs: 20,
    syncFlushTimeoutMs: 5_000,
    maxMessageSizeBytes: 32 * 1024,
    maxHashSlotNum: 100,
    maxIndexNum: 400,
    messageIndexEnable: true,
    messageDelayLevel: '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h',
    fileReservedTimeHours: 72,
    deleteWhen: '04',
    diskMaxUsedSpaceRatio: 75,
    storeHost: Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]),
    region: undefined,
    initialRole: 'active',
    ...changed,
  };
}

export interface TestMessage {
  topic?: string;
  queueId?: number;
  body?: Buffer | string;
  properties?: Record<string, string>;
  sysFlag?: number;
}

/** A message as a RecordSource; properties in RocketMQ's text form. */
export function recordSource(store: MessageStore, message: TestMessage = {}): RecordSource {
  const body = Buffer.from(message.body ?? 'hello');
  const text = Object.entries(message.properties ?? {})
    .map(([key, value]) => `${key}\u0001${value}\u0002`)
    .join('');
  const properties = Buffer.from(text);
  return {
    topic: store.topic(message.topic ?? 'orders'),
    queueId: message.queueId ?? 0,
    flag: 7,
    sysFlag: message.sysFlag ?? 0,
    bornTimestampMs: 1_700_000_000_123,
    bornHost: Buffer.from([10, 1, 2, 3, 0, 0, 0x1f, 0x90]),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    bodyStart: 0,
    bodyLength: body.length,
    properties,
    propertiesStart: 0,
    propertiesLength: properties.length,
  };
}
