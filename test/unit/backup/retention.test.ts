// Retention: what may go, what never goes, and that a prune and a backup keep out of each other's way.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Backup,
  backupConfigSchema,
  type ObjectStore,
  openFileStore,
} from '../../../backup/index.ts';
import { markPrune, markRun } from '../../../backup/repository/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { appendOrder, buildStore, type LogBuilder } from '../../support/backup/log-builder.ts';

let folder: string;
let store: LogBuilder;
let backup: Backup;
let objects: ObjectStore;
beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-retention-'));
  store = buildStore(path.join(folder, 'store'), 300, { fileBytes: 64 * 1024 });
  const repository = { kind: 'file', path: path.join(folder, 'repository') };
  backup = await initBackup({
    config: backupConfigSchema.parse({ repository, storeId: 'shop', workers: 1 }),
  });
  objects = openFileStore({ root: repository.path });
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const nothing = { last: 0, daily: 0, withinHours: 0 };
const lastOnly = { last: 1, daily: 0, withinHours: 0 };
async function three(): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    appendOrder(store, 300 + i);
    ids.push((await backup.run({ rootDir: store.root })).id);
  }
  return ids;
}

describe('a prune', () => {
  test('tells in a dry run what it would do, and does nothing', async () => {
    const ids = await three();
    const before = (await objects.list('')).length;
    const plan = await backup.prune({ dryRun: true, keep: lastOnly });
    expect(plan.deleted).toEqual(ids.slice(0, 2));
    expect(plan.segmentsDeleted).toBeGreaterThan(0);
    expect((await objects.list('')).length).toBe(before);
  });

  test('deletes segments nobody names any more, and no others', async () => {
    const ids = await three();
    const done = await backup.prune({ dryRun: false, keep: lastOnly });
    expect(done.deleted).toEqual(ids.slice(0, 2));
    expect((await backup.list()).map((entry) => entry.id)).toEqual(ids.slice(2));
    expect((await backup.verify({ id: ids[2] as string, depth: 'restored' })).code).toBeUndefined();
    const again = await backup.prune({ dryRun: true, keep: lastOnly });
    expect(again.segmentsDeleted).toBe(0);
  });

  test('keeps the last good one even when newer ones are broken', async () => {
    const ids = await three();
    const listed = new Map((await objects.list('segments/')).map((info) => [info.key, info]));
    // Break the two newer ones: segments the first does not share.
    const first = await namesOf(ids[0] as string);
    const others = [...listed.keys()].filter((key) => !first.has(key.split('/').at(-1) ?? ''));
    await objects.delete(others);
    const done = await backup.prune({ dryRun: false, keep: lastOnly });
    const kept = (await backup.list()).map((entry) => entry.id);
    expect(kept).toContain(ids[0]);
    expect(done.kept.find((entry) => entry.id === ids[0])?.why).toBe('last good one');
    expect((await backup.verify({ id: ids[0] as string, depth: 'hashed' })).code).toBeUndefined();
  });

  test('deletes no segment while a manifest is unreadable', async () => {
    const ids = await three();
    const key = `manifests/shop/${ids[0]}.json`;
    await objects.put(key, Buffer.from('{}'), { ifAbsent: false });
    const done = await backup.prune({ dryRun: false, keep: lastOnly });
    expect(done).toMatchObject({ deleted: [ids[1]], segmentsDeleted: 0 });
    expect(done.warnings).toHaveLength(1);
  });

  test('with a policy that keeps nothing is refused', async () => {
    await three();
    await expect(backup.prune({ dryRun: false, keep: nothing })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test('waits for a running backup, and a backup for it; marks of the dead do not count', async () => {
    await three();
    const run = await markRun(objects, 'r1');
    await expect(backup.prune({ dryRun: false, keep: lastOnly })).rejects.toMatchObject({
      code: 'LOCKED',
    });
    await run.release();
    const prune = await markPrune(objects);
    await expect(backup.run({ rootDir: store.root })).rejects.toMatchObject({ code: 'LOCKED' });
    await prune.release();
    const dead = JSON.stringify({ host: os.hostname(), pid: 999_999_999, refreshedMs: Date.now() });
    await objects.put('runs/dead.json', Buffer.from(dead), { ifAbsent: false });
    expect((await backup.prune({ dryRun: false, keep: lastOnly })).deleted).toHaveLength(2);
    expect((await objects.list('runs/')).length).toBe(0);
  });
});

async function namesOf(id: string): Promise<Set<string>> {
  const bytes = await objects.get(`manifests/shop/${id}.json`);
  return new Set(
    [...bytes.toString().matchAll(/"id":"([0-9a-f]{64})"/g)].map((match) => match[1]!),
  );
}
