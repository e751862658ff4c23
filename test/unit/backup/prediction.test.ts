// The duration a restore predicts after its first segments, against what it then took, on a clock that
// only the target's answers move.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { expect, test } from 'vitest';
import { backupConfigSchema, openFileStore, VERIFY_DEPTHS } from '../../../backup/index.ts';
import { COMMANDS } from '../../../cli/command-table.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { buildStore } from '../../support/backup/log-builder.ts';

const GET_MS = 100;

test('a restore predicts its duration from the first quarter, near to what it takes', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-prediction-'));
  let nowMs = Date.UTC(2026, 10, 20);
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const inner = openFileStore({ root: path.join(folder, 'repository') });
  const slow = Object.assign(Object.create(inner), {
    prepare: () => inner.prepare(),
    get: async (key: string) => {
      if (key.startsWith('segments/')) nowMs += GET_MS;
      return inner.get(key);
    },
  });
  for (const name of ['put', 'putLarge', 'head', 'list', 'delete', 'sweep'] as const) {
    slow[name] = (...call: never[]) => (inner[name] as (...rest: never[]) => unknown)(...call);
  }
  const store = buildStore(path.join(folder, 'store'), 7_000, { fileBytes: 64 * 1024 });
  const config = backupConfigSchema.parse({
    repository: { kind: 'file', path: path.join(folder, 'repository') },
    storeId: 'shop',
    workers: 1,
  });
  const backup = await initBackup({ config, objectStore: slow, clock });
  const { files } = await backup.run({ rootDir: store.root });
  const seen: (number | undefined)[] = [];
  const result = await backup.restore({
    id: 'latest',
    target: path.join(folder, 'restored'),
    onProgress: ({ predictedMs }) => seen.push(predictedMs),
  });
  expect(result.actualMs).toBeGreaterThan(files * GET_MS);
  expect(seen[0]).toBeUndefined();
  const first = seen.findIndex((predictedMs) => predictedMs !== undefined);
  expect(first).toBeLessThan(files / 3);
  expect(result.predictedMs).toBe(seen[first]);
  expect(Math.abs(result.predictedMs / result.actualMs - 1)).toBeLessThan(0.3);
  backup.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

test('the command line offers exactly the depths there are', () => {
  const verify = COMMANDS.find((row) => row.name === 'backup verify');
  const depth = verify?.options?.find((option) => option.flags.startsWith('--depth'));
  expect(depth?.choices).toEqual([...VERIFY_DEPTHS]);
});
