// A real store in a temp folder with small log files, and a short way to append messages to it.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { RegionRole } from '../../core-broker/protocol/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';

export const SMALL_FILE_BYTES = 64 * 1024;

export interface SmallStoreOptions {
  root?: string;
  region?: string;
  initialRole?: RegionRole;
}

export const tempFolder = (name: string): string =>
  fs.mkdtempSync(path.join(os.tmpdir(), `dr-${name}-`));

export function openSmallStore(options: SmallStoreOptions = {}): Promise<MessageStore> {
  const rootDir = options.root ?? tempFolder('store');
  return openStore({
    rootDir,
    commitLogDir: path.join(rootDir, 'commitlog'),
    mappedFileSizeCommitLog: SMALL_FILE_BYTES,
    mappedFileSizeConsumeQueue: 20 * 1024,
    flushDiskType: 'ASYNC_FLUSH',
    flushIntervalCommitLogMs: 100,
    syncFlushTimeoutMs: 5_000,
    maxMessageSizeBytes: 32 * 1024,
    maxHashSlotNum: 500,
    maxIndexNum: 2_000,
    messageIndexEnable: false,
    messageDelayLevel: '1s 5s',
    fileReservedTimeHours: 72,
    deleteWhen: '04',
    diskMaxUsedSpaceRatio: 99,
    storeHost: Buffer.from([127, 0, 0, 1, 0, 0, 42, 159]),
    region: options.region,
    initialRole: options.initialRole ?? 'active',
  });
}

/** Appends one message and says where it ends. */
export function appendMessage(
  store: MessageStore,
  message: { topic: string; queueId?: number; body: string; properties?: string },
): { offset: number; end: number } {
  const body = Buffer.from(message.body);
  const properties = Buffer.from(message.properties ?? '');
  const { physicalOffset, sizeBytes } = store.append({
    topic: store.topic(message.topic),
    queueId: message.queueId ?? 0,
    flag: 0,
    sysFlag: 0,
    bornTimestampMs: Date.now(),
    bornHost: Buffer.from([127, 0, 0, 1, 0, 0, 1, 1]),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    bodyStart: 0,
    bodyLength: body.length,
    properties,
    propertiesStart: 0,
    propertiesLength: properties.length,
  });
  return { offset: physicalOffset, end: physicalOffset + sizeBytes };
}

/** Bytes [from, to) of the log, read from its files. */
export function logBytes(root: string, from: number, to: number): Buffer {
  const pieces: Buffer[] = [];
  const folder = path.join(root, 'commitlog');
  for (const name of fs.readdirSync(folder).sort()) {
    const start = Number(name);
    const bytes = fs.readFileSync(path.join(folder, name));
    const first = Math.max(0, from - start);
    const last = Math.min(bytes.length, to - start);
    if (first < last) pieces.push(bytes.subarray(first, last));
  }
  return Buffer.concat(pieces);
}
