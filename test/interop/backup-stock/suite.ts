// Stock Apache brokers 4.9.7 and 5.5.0 boot from a restored backup and serve every message and offset,
// purged starts of queues included; and a live stock broker's store goes through backup and restore.
// One test file per version calls this, so that both run side by side.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Backup, backupConfigSchema } from '../../../backup/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { buildStore, topicTable } from '../../support/backup/log-builder.ts';
import { freePort } from '../../support/dr-parts.ts';
import { mqadmin } from '../exchange/mqadmin.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from '../peers/rocketmq.ts';

const FILE_BYTES = 1024 * 1024;
let folder: string;
let backup: Backup;
const servers: RunningServer[] = [];
beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-backup-stock-'));
  const repository = { kind: 'file', path: path.join(folder, 'repository') };
  backup = await initBackup({
    config: backupConfigSchema.parse({ repository, storeId: 'shop' }),
  });
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.kill()));
  fs.rmSync(folder, { recursive: true, force: true });
});

async function boot(version: ServerVersion, name: string) {
  const at = { version, folder: path.join(folder, `ns-${name}`), port: await freePort() };
  const nameserver = await startNameserver(at);
  servers.push(nameserver);
  const broker = await startBroker({
    version,
    folder: path.join(folder, name),
    port: await freePort(true),
    namesrv: nameserver.address,
    properties: {
      mappedFileSizeCommitLog: FILE_BYTES,
      mappedFileSizeConsumeQueue: 6_000,
      fileReservedTime: 100_000,
    },
  });
  servers.push(broker);
  const tools = { version, folder: path.join(folder, `tools-${name}`) };
  return {
    broker,
    admin: async (command: string, ...args: string[]) => {
      try {
        return await mqadmin(tools, command, ['-n', nameserver.address, ...args]);
      } catch (reason) {
        // consumeMessage warns `topic[...] not exist` when its first rebalance is early; it goes on.
        const text = reason instanceof Error ? reason.message : '';
        if (command === 'consumeMessage' && text.includes('Consume ok')) return text;
        throw reason;
      }
    },
  };
}

/** queue -> [min, max] out of topicStatus. */
function boundsOf(text: string): Record<string, [number, number]> {
  const rows = text.matchAll(/^\s*broker-a\s+(\d+)\s+(\d+)\s+(\d+)/gm);
  return Object.fromEntries([...rows].map((row) => [row[1], [Number(row[2]), Number(row[3])]]));
}

const messagesIn = (text: string): number => text.match(/MSGID:/g)?.length ?? 0;

/** Defines the tests for one version. */
export function testBackupOfStock(version: ServerVersion): void {
  describe(`a stock ${version} broker`, () => defineTests(version));
}

function defineTests(version: ServerVersion): void {
  test('boots from a restored store whose older files were purged', async () => {
    const root = path.join(folder, 'source');
    const shape = { fileBytes: FILE_BYTES, start: 3 * FILE_BYTES, queueStart: 1_000 };
    const store = buildStore(root, 4_000, shape);
    store.config('topics.json', topicTable('orders', 'quiet'));
    const quiet = { topic: 'quiet', queueId: 3 };
    for (let i = 0; i < 700; i++) store.writeEntry(quiet, i, { at: i * 100, size: 100 });
    store.config('subscriptionGroup.json', {
      subscriptionGroupTable: { billing: { groupName: 'billing', consumeEnable: true } },
      dataVersion: { counter: 1, timestamp: 1 },
    });
    store.config('consumerOffset.json', '{"offsetTable":{"orders@billing":{0:1990,1:9999}}}');
    const made = await backup.run({ rootDir: root });
    expect(made.clampedOffsets).toBe(1);
    const target = path.join(folder, 'restored', 'store');
    fs.mkdirSync(path.dirname(target));
    await backup.restore({ id: made.id, target });
    const { broker, admin } = await boot(version, 'restored');
    await expect
      .poll(async () => boundsOf(await admin('topicStatus', '-t', 'orders')), { timeout: 90_000 })
      .toEqual({ 0: [1000, 2000], 1: [1000, 2000], 2: [1000, 2000], 3: [1000, 2000] });
    // Nothing is left of this queue but where it goes on: the next message must not be 0.
    expect(boundsOf(await admin('topicStatus', '-t', 'quiet'))['3']?.[1]).toBe(700);
    await admin('sendMessage', '-t', 'quiet', '-p', 'next', '-b', 'broker-a', '-i', '3');
    // 4.9 goes on showing 0 as the start of such a queue, as it does for its own.
    await expect
      .poll(async () => boundsOf(await admin('topicStatus', '-t', 'quiet'))['3']?.[1], {
        timeout: 30_000,
      })
      .toBe(701);
    const after = ['-t', 'quiet', '-b', 'broker-a', '-i', '3', '-o', '700', '-c', '1'];
    expect(messagesIn(await admin('consumeMessage', ...after))).toBe(1);
    const order = ['-t', 'orders', '-b', 'broker-a', '-i'];
    for (const [queue, offset, index] of [
      ['0', '1000', 0],
      ['3', '1999', 3_999],
    ] as const) {
      const found = await admin('consumeMessage', ...order, queue, '-o', offset, '-c', '1');
      expect(found).toContain(`K${index}`);
    }
    const offsets = fs.readFileSync(path.join(target, 'config/consumerOffset.json'), 'utf8');
    expect(offsets).toMatch(/"?0"?\s*:\s*1990/);
    expect(offsets).toMatch(/"?1"?\s*:\s*2000/);
    const all = await admin('consumeMessage', ...order, '2', '-o', '1000', '-c', '1000');
    expect(messagesIn(all)).toBe(1_000);
    expect(broker.child.hasExited).toBe(false);
  });

  test('running: its store is archived live, restored and served', async () => {
    const source = await boot(version, 'live');
    const ns = ['-t', 'live', '-r', '4', '-w', '4', '-c', 'DefaultCluster'];
    await source.admin('updateTopic', ...ns);
    await expect.poll(() => source.admin('topicRoute', '-t', 'live')).toContain('broker-a');
    const place = ['-t', 'live', '-b', 'broker-a', '-i', '1'];
    for (const body of ['one', 'two', 'three']) {
      await source.admin('sendMessage', ...place, '-p', body);
    }
    const rootDir = path.join(folder, 'live', 'store');
    const made = await backup.run({ rootDir });
    expect(made.logMax).toBeGreaterThan(0);
    expect((await backup.verify({ id: made.id, depth: 'restored' })).records).toBeGreaterThan(2);
    await backup.restore({ id: made.id, target: path.join(folder, 'again', 'store') });
    const again = await boot(version, 'again');
    await expect
      .poll(async () => boundsOf(await again.admin('topicStatus', '-t', 'live'))['1'], {
        timeout: 60_000,
      })
      .toEqual([0, 3]);
    const all = await again.admin('consumeMessage', ...place, '-o', '0', '-c', '3');
    expect(messagesIn(all)).toBe(3);
  });
}
