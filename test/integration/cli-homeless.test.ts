// A container that runs under any user id: no HOME, no line in passwd. Commands that need no home work, and
// who needs the default below it is told which key to set.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { homeFolder } from '../../core-broker/base/index.ts';
import { ROOT } from '../support/source-tree.ts';
import { tempFolder } from '../support/store-options.ts';

const PRELOAD = path.join(ROOT, 'test/support/homeless.ts');
let folder = '';
beforeEach(() => {
  folder = tempFolder();
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function dr(...words: string[]) {
  const args = ['--import', PRELOAD, path.join(ROOT, 'cli/dr.ts'), ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, text: stdout + stderr };
}

function file(name: string, ...lines: string[]): string {
  const made = path.join(folder, name);
  fs.writeFileSync(made, `${lines.join('\n')}\n`);
  return made;
}

test('a user with a home has one', () => {
  expect(homeFolder()).toMatch(/^\//);
});

describe('a user without a home', () => {
  test.each([['--help'], ['switchover', '--help'], ['broker', '--help'], ['doctor', '--help']])(
    'gets help: %s %s',
    (...words) => {
      expect(dr(...words)).toMatchObject({ status: 0, text: expect.stringContaining('Usage: dr') });
    },
  );

  test('is told to name the store of a broker', () => {
    const broker = file('broker.conf', 'brokerName=a', 'listenPort=0');
    for (const words of [
      ['broker', '-c', broker],
      ['config', 'validate', broker],
    ]) {
      const { status, text } = dr(...words);
      expect([status, text]).toEqual([2, expect.stringContaining('set storePathRootDir')]);
      expect(text).toContain(broker);
    }
  });

  test('is told to name the file of a name server', () => {
    const { status, text } = dr('nameserver', '-c', file('ns.conf', 'listenPort=0'));
    expect([status, text]).toEqual([2, expect.stringContaining('set kvConfigPath')]);
  });

  test('needs none when the keys are set', () => {
    const broker = file('broker.conf', 'brokerName=a', `storePathRootDir=${folder}/store`);
    const nameserver = file('ns.conf', 'listenPort=0', `kvConfigPath=${folder}/kv.json`);
    for (const each of [broker, nameserver]) {
      expect(dr('config', 'validate', each)).toMatchObject({ status: 0 });
    }
  });
});
