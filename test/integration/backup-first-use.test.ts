// `dr backup run` as an operator meets it: the first use of a place begins the repository; a place that
// lost it later (an unmounted folder) is refused and not filled again.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { layOutRegions, type Regions } from '../../cli/demo/regions.ts';
import type { DrError } from '../../core-broker/base/index.ts';
import { createBroker, loadBrokerConfig } from '../../core-broker/broker/index.ts';
import { drJson, runDr } from '../support/dr-command.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-first-use-'));
const target = path.join(folder, 'backups');
let regions: Regions;

/** A store of our own making, at rest. */
beforeAll(async () => {
  regions = await layOutRegions({ folder, gateway: false });
  const { config } = loadBrokerConfig(path.join(regions.east.folder, 'broker.properties'));
  const onFailure = (reason: DrError) => {
    throw reason;
  };
  const broker = createBroker({ config: { ...config, namesrvAddr: '' }, onFailure });
  await broker.start();
  await broker.stop();
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const backup = (...words: string[]) => ['backup', ...words, '-c', regions.east.drYaml];

test('the first run begins the repository and the next ones use it', async () => {
  await drJson(backup('run'), folder);
  await drJson(backup('run'), folder);
  expect(await drJson<unknown[]>(backup('list'), folder)).toHaveLength(2);
});

test('a place that lost its repository is refused and stays empty', async () => {
  fs.rmSync(target, { recursive: true });
  fs.mkdirSync(target);
  const run = await runDr(backup('run'), folder);
  expect([10, 13]).toContain(run.status);
  expect(fs.readdirSync(target)).toEqual([]);
});

test('a folder with other things in it is never taken for a repository', async () => {
  fs.writeFileSync(path.join(target, 'holiday.jpg'), 'x');
  const run = await runDr([...backup('run'), '--repository', `file://${target}`], folder);
  expect(run.status).not.toBe(0);
  fs.mkdirSync(path.join(folder, 'other'));
  fs.writeFileSync(path.join(folder, 'other', 'holiday.jpg'), 'x');
  const elsewhere = [...backup('run'), '--repository', `file://${path.join(folder, 'other')}`];
  expect((await runDr(elsewhere, folder)).status).toBe(4);
});
