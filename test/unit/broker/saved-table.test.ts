// The two roads of a metadata table into its file, on a disk that is slow or full.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SavedTable } from '../../../core-broker/broker/metadata/index.ts';
import { FaultyFiles } from '../../support/faulty-files.ts';
import { tempFolder } from '../../support/store-options.ts';

let root = '';
let disk: FaultyFiles;
let content = { n: 0 };
let table: SavedTable;
beforeEach(() => {
  root = tempFolder();
  disk = new FaultyFiles();
  content = { n: 0 };
  table = new SavedTable(path.join(root, 'config', 'table.json'), () => content);
});
afterEach(async () => {
  disk.restore();
  await table.settled();
  fs.rmSync(root, { recursive: true });
});

const change = (n: number) => {
  content = { n };
  table.touch();
};
const read = (name = 'table.json'): unknown =>
  JSON.parse(fs.readFileSync(path.join(root, 'config', name), 'utf8'));

test('many changes are one write, and the loop goes on while the disk is slow', async () => {
  disk.rules = [{ path: /table\.json/, on: 'sync', slowMs: 200 }];
  for (let n = 1; n <= 21; n++) change(n);
  let turns = 0;
  const turn = setInterval(() => turns++, 1);
  await table.aside();
  clearInterval(turn);
  expect(turns).toBeGreaterThan(20);
  expect(disk.hits).toBe(1);
  expect([read(), table.isBehind]).toEqual([{ n: 21 }, false]);
});

test('nothing is written when nothing was touched', async () => {
  await table.aside();
  table.catchUp();
  expect(fs.existsSync(path.join(root, 'config'))).toBe(false);
});

test('a change that comes while the file is written goes with the next write', async () => {
  disk.rules = [{ path: /table\.json/, on: 'sync', slowMs: 50 }];
  change(1);
  const first = table.aside();
  change(2);
  const same = table.aside();
  await Promise.all([first, same]);
  expect([read(), table.isBehind]).toEqual([{ n: 1 }, true]);
  await table.aside();
  expect([read(), read('table.json.bak'), table.isBehind]).toEqual([{ n: 2 }, { n: 1 }, false]);
});

test('what is durable at once is never replaced by what was under way before it', async () => {
  disk.rules = [{ path: /soon/, on: 'sync', slowMs: 100 }];
  change(1);
  const slow = table.aside();
  content = { n: 2 };
  table.saveNow();
  expect(read()).toEqual({ n: 2 });
  await slow;
  expect([read(), table.isBehind]).toEqual([{ n: 2 }, false]);
  expect(fs.readdirSync(path.join(root, 'config'))).toEqual(['table.json']);
});

test('who must have it now does not trust a write that is under way', async () => {
  disk.rules = [{ path: /soon/, on: 'sync', slowMs: 100 }];
  change(1);
  const slow = table.aside();
  table.catchUp();
  expect(read()).toEqual({ n: 1 });
  await slow;
  expect(read()).toEqual({ n: 1 });
});

test.each(['ENOSPC', 'EIO'])(
  '%s keeps the old content, and the next write is tried',
  async (fails) => {
    change(1);
    await table.aside();
    for (const on of ['write', 'sync'] as const) {
      disk.rules = [{ path: /table\.json/, on, fails }];
      change(2);
      await expect(table.aside()).rejects.toThrow(fails);
      expect(() => table.catchUp()).toThrow(fails);
      expect([read(), table.isBehind]).toEqual([{ n: 1 }, true]);
    }
    disk.rules = [];
    await table.aside();
    expect([read(), table.isBehind]).toEqual([{ n: 2 }, false]);
  },
);
