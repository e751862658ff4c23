// The packed tarball, installed globally into an empty prefix with an empty HOME, is the same program
// as ./dr in the checkout: same commands, same answers, and it runs a broker.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DR, runDr } from '../support/dr-command.ts';
import { ROOT } from '../support/source-tree.ts';

const run = promisify(execFile);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-package-'));
const home = path.join(folder, 'home');
const prefix = path.join(folder, 'prefix');
const installed = path.join(prefix, 'bin', 'dr');

beforeAll(async () => {
  fs.mkdirSync(home);
  await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT });
  const tarball = fs.readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  const words = ['install', '-g', '--prefix', prefix, path.join(folder, tarball)];
  await run('npm', words, { env: { ...process.env, HOME: home }, maxBuffer: 16 * 1024 * 1024 });
});

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

test.each([['--version'], ['--help'], ['config', 'example'], ['switchover', 'fsm', '--mermaid']])(
  'dr %s %s answers as ./dr does',
  async (...words) => {
    const [here, there] = await Promise.all([runDr(words), run(installed, words)]);
    expect(here.status).toBe(0);
    expect(there.stdout).toBe(here.stdout);
    expect(there.stdout.length).toBeGreaterThan(3);
  },
);

test('the installed program runs the whole demo', async () => {
  expect(fs.realpathSync(installed)).not.toBe(DR);
  const { stdout } = await run(installed, ['demo', '-o', 'json'], { cwd: folder });
  expect(JSON.parse(stdout)).toMatchObject({ broken: [], isRestored: true });
});
