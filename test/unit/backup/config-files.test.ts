// The configuration of a live broker: files that are being replaced are no files of their own.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, test } from 'vitest';
import { readConfigFiles } from '../../../backup/snapshot/config-files.ts';
import { tempFolder } from '../../support/store-options.ts';

test('what a write under way left is not taken for a file', async () => {
  const root = tempFolder();
  const folder = path.join(root, 'config');
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'topics.json'), '{"topicConfigTable":{}}');
  for (const suffix of ['.bak', '.tmp', '.soon.tmp']) {
    fs.writeFileSync(path.join(folder, `topics.json${suffix}`), '{}');
  }
  const files = await readConfigFiles(root, 'after-log');
  const others = await readConfigFiles(root, 'before-log');
  fs.rmSync(root, { recursive: true });
  expect([...files, ...others].map((file) => file.path)).toEqual(['config/topics.json']);
});
