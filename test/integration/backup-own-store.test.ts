// Our own store opens what a restore made: every message, every queue's bounds, purged starts, and the
// next offset of queues that hold nothing any more.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backupConfigSchema } from '../../backup/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { buildStore, topicTable } from '../support/backup/log-builder.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';

const FILE_BYTES = 64 * 1024;
let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-backup-own-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const open = (root: string): Promise<MessageStore> =>
  openStore(
    smallStoreOptions(root, {
      commitLogDir: path.join(root, 'commitlog'),
      mappedFileSizeCommitLog: FILE_BYTES,
      mappedFileSizeConsumeQueue: 300 * 20,
    }),
  );

const newBackup = () => {
  const repository = { kind: 'file', path: path.join(folder, 'repository') };
  return initBackup({ config: backupConfigSchema.parse({ repository, storeId: 's' }) });
};

test('a restored store with purged files serves every message and goes on where it was', async () => {
  const root = path.join(folder, 'source');
  const shape = { fileBytes: FILE_BYTES, start: 4 * FILE_BYTES, queueStart: 1000 };
  const source = buildStore(root, 800, shape);
  source.config('topics.json', topicTable('orders', 'quiet'));
  const quiet = { topic: 'quiet', queueId: 3 };
  for (let i = 0; i < 700; i++) source.writeEntry(quiet, i, { at: i * 100, size: 100 });
  const backup = await newBackup();
  await backup.run({ rootDir: root });
  const target = path.join(folder, 'restored');
  await backup.restore({ id: 'latest', target });
  const store = await open(target);
  await store.dispatched();
  for (let queueId = 0; queueId < 4; queueId++) {
    expect(store.bounds({ topic: 'orders', queueId })).toMatchObject({ min: 1000, max: 1200 });
  }
  const limit = { messagesMax: 32, bytesMax: 1 << 20, tagCodes: undefined };
  const pulled = store.pull({ topic: 'orders', queueId: 2 }, 1000, limit);
  expect(pulled).toMatchObject({ status: 'FOUND', messageCount: 32 });
  expect(store.storeBounds()).toMatchObject({
    minOffset: source.offsets[0],
    maxOffset: source.end,
  });
  expect(store.bounds(quiet)?.max).toBe(700);
  const next = store.append(recordSource(store, { ...quiet, body: 'next' }));
  expect(next.queueOffset).toBe(700);
  await store.close();
});

test('a live store of ours is archived while it takes writes, and comes back', async () => {
  const root = path.join(folder, 'live');
  fs.mkdirSync(path.join(root, 'config'), { recursive: true });
  const store = await open(root);
  fs.writeFileSync(path.join(root, 'config/topics.json'), JSON.stringify(topicTable('orders')));
  let written = 0;
  const write = () => {
    for (let i = 0; i < 50; i++, written++) {
      store.append(recordSource(store, { queueId: written & 3, body: `order ${written}` }));
    }
  };
  for (let i = 0; i < 20; i++) write();
  await store.durable(store.storeBounds().maxOffset);
  const before = store.storeBounds().maxOffset;
  const timer = setInterval(write, 5);
  const backup = await newBackup();
  const made = await backup.run({ rootDir: root });
  clearInterval(timer);
  expect(made.logMax).toBeGreaterThanOrEqual(before);
  await store.close();
  const target = path.join(folder, 'restored');
  const result = await backup.restore({ id: made.id, target });
  expect(result.breaks).toEqual([]);
  const again = await open(target);
  await again.dispatched();
  expect(again.storeBounds().maxOffset).toBe(made.logMax);
  const counts = [0, 1, 2, 3].map(
    (queueId) => again.bounds({ topic: 'orders', queueId })?.max ?? 0,
  );
  expect(counts.reduce<number>((sum, count) => sum + count, 0)).toBe(result.records);
  await again.close();
});
