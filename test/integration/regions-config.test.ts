// Bad configuration, as an operator meets it: exit 2, the file, the line, the key, what was probably
// meant, and a comment behind a value pointed out. Nothing starts.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runDr } from '../support/dr-command.ts';
import { Stage } from '../support/regions/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.layOut('regions-config');
});
afterAll(() => stage?.close());

/** A broker file with one more line; returns its path and the number of that line. */
function withLine(line: string): { file: string; at: number } {
  const folder = stage.files('east').folder;
  const text = fs.readFileSync(path.join(folder, 'broker.properties'), 'utf8');
  const file = path.join(folder, 'bad.properties');
  fs.writeFileSync(file, `${text}${line}\n`);
  return { file, at: text.split('\n').length };
}

test.each([
  ['haService.listenPort=10912', ['haService.listenPort', 'haListenPort']],
  ['flushDiskTyp=SYNC_FLUSH', ['flushDiskTyp', 'flushDiskType']],
  ['deleteWhen=04 # at night', ['deleteWhen', 'comment']],
  ['fileReservedTime=soon', ['fileReservedTime']],
])('dr broker refuses the line %s', async (line, words) => {
  const { file, at } = withLine(line);
  const run = await runDr(['broker', '-c', file]);
  expect(run.status, run.stderr).toBe(2);
  expect(run.stderr).toContain(`${file}:${at}`);
  for (const word of words) expect(run.stderr).toContain(word);
});

test('an unknown key of dr.yaml is named with file, line and column', async () => {
  const file = path.join(stage.files('east').folder, 'bad.yaml');
  const text = fs.readFileSync(stage.files('east').drYaml, 'utf8');
  fs.writeFileSync(file, `${text}link:\n  bandwithBytesPerSec: 5\n`);
  const at = text.split('\n').length + 1;
  for (const words of [['standby'], ['status'], ['switchover', '--yes']]) {
    const run = await runDr([...words, '-c', file]);
    expect(run.status, run.stderr).toBe(2);
    expect(run.stderr).toMatch(new RegExp(`bad\\.yaml:${at}:\\d+`));
    expect(run.stderr).toContain('bandwithBytesPerSec');
    expect(run.stderr).toContain('bandwidthBytesPerSec');
  }
});
