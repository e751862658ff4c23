// What an operator sees over HTTP: alive, ready and why not, status, metrics in Prometheus form; and the
// daemon's scheduled backup, made by its own clock.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSqliteJobs } from '../../backup/index.ts';
import { waitFor } from '../../cli/demo/process.ts';
import { httpGet, layOutRegions, type Regions } from '../../cli/demo/regions.ts';
import { drJson } from '../support/dr-command.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-http-'));
let regions: Regions;

beforeAll(async () => {
  const schedule = { cron: '*/2 * * * * *', plan: 'often', attempts: 1 };
  // One for each region: two that share one also wait for each other.
  const backup = { repository: { kind: 'file', path: './backups' }, schedule };
  regions = await layOutRegions({ folder, gateway: false, drYaml: { backup } });
  await regions.startGlobal();
  await Promise.all([regions.startRegion('east'), regions.startRegion('west')]);
});

afterAll(async () => {
  await regions.stopAll('SIGKILL');
  fs.rmSync(folder, { recursive: true, force: true });
});

const isReady = async (http: string) => (await httpGet(http, '/health/ready'))?.status === 200;

test('a healthy pair is live and ready on both sides', async () => {
  const { east, west } = regions;
  await waitFor(
    'both regions',
    async () => (await isReady(east.http)) && (await isReady(west.http)),
  );
  expect(JSON.parse((await httpGet(west.http, '/health/live'))?.body ?? '')).toEqual({
    live: true,
  });
});

test('/status tells role, epoch and the three lags', async () => {
  const read = async (http: string) => JSON.parse((await httpGet(http, '/status'))?.body ?? '{}');
  expect(await read(regions.east.http)).toMatchObject({
    role: 'active',
    writeState: 'open',
    epoch: 1,
  });
  const west = await read(regions.west.http);
  expect(west).toMatchObject({ role: 'standby', writeState: 'standby' });
  expect(west.link).toMatchObject({ state: 'following', lagMessages: 0, lagBytes: 0, lagMs: 0 });
});

test('/metrics is Prometheus text with epoch, write state, lags and sends', async () => {
  const text = (await httpGet(regions.west.http, '/metrics'))?.body ?? '';
  const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name ?? '');
  for (const part of ['dr_epoch', 'dr_write_state', 'dr_link_lag_messages', 'dr_link_lag_bytes']) {
    expect(names).toContain(part);
  }
  expect(names.some((name) => name.startsWith('dr_broker_'))).toBe(true);
  for (const line of text.split('\n').filter((each) => each !== '')) {
    expect(line).toMatch(/^(# (HELP|TYPE) \S+ .+|[a-zA-Z_:][\w:]*(\{.*\})? \S+)$/);
  }
});

test('the clock of the daemon makes backups that verify', async () => {
  const { east } = regions;
  // Read beside the daemon: a command for each look would take the time that a backup, being polite, waits for.
  await waitFor('a job that is done', async () => {
    const queue = openSqliteJobs({ file: path.join(east.folder, 'jobs.db') });
    const jobs = await queue.list({ limit: 50 }).finally(() => queue.close());
    return jobs.some((job) => job.state === 'done');
  });
  type Listed = { id: string; state: string; storeId: string };
  const listed = await drJson<Listed[]>(['backup', 'list', '-c', east.drYaml], folder);
  expect(listed).toContainEqual(expect.objectContaining({ storeId: 'east-broker-a', state: 'ok' }));
  const words = ['backup', 'schedule', '-c', east.drYaml];
  const { jobs } = await drJson<{ jobs: { state: string }[] }>(words, folder);
  expect(jobs.map(({ state }) => state)).toContain('done');
});

test('a standby whose source is gone is not ready and says why; SIGTERM ends a daemon with 0', async () => {
  expect(await regions.processes.get('east')?.stop('SIGTERM')).toBe(0);
  const { west } = regions;
  const health = await waitFor('west to turn red', async () => {
    const answer = await httpGet(west.http, '/health/ready');
    return answer?.status === 503 ? answer : undefined;
  });
  expect(JSON.parse(health.body).reasons.join(' ')).toContain('link');
  expect(fs.existsSync(path.join(regions.east.store, 'abort'))).toBe(false);
});
