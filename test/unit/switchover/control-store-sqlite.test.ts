// The contract suite over real SQLite files, and what only this adapter has to show.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openSqliteControlStore } from '../../../switchover/control-store/index.ts';
import { controlStoreContract } from './control-store-contract.ts';

const folder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'control-store-'));

controlStoreContract('sqlite', async () => {
  const dir = folder();
  return {
    open: async () => openSqliteControlStore({ path: path.join(dir, 'sub', 'control.db') }),
    dispose: async () => fs.rmSync(dir, { recursive: true, force: true }),
  };
});

test('the file is in WAL mode, so a reader never blocks the controller', async () => {
  const dir = folder();
  const file = path.join(dir, 'control.db');
  const store = openSqliteControlStore({ path: file });
  const db = new DatabaseSync(file);
  expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
  db.close();
  await store.close();
  fs.rmSync(dir, { recursive: true });
});

test('a file that is no database is a configuration error that names it', () => {
  const dir = folder();
  const file = path.join(dir, 'control.db');
  fs.writeFileSync(
    file,
    'this is not a database, but long enough to be looked at as one'.repeat(9),
  );
  expect(() => openSqliteControlStore({ path: file })).toThrow(file);
  fs.rmSync(dir, { recursive: true });
});
