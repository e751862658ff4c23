// A scheduled backup beside a broker that takes sends: the backup process stands still while the sends
// are over their budget (here one no send can keep), says so, and ends its run once they stop.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSqliteJobs, type ScheduledRunResult } from '../../backup/index.ts';
import { waitFor } from '../../cli/demo/process.ts';
import { hasLogged, httpGet, layOutRegions, type Regions } from '../../cli/demo/regions.ts';
import { drJson } from '../support/dr-command.ts';
import { OrderFlow } from '../support/regions/order-flow.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-budget-'));
let regions: Regions;
let flow: OrderFlow;

beforeAll(async () => {
  const schedule = { cron: '* * * * * *', plan: 'often', attempts: 1 };
  // One for each region: two that share one also wait for each other.
  const repository = { kind: 'file', path: './backups' };
  const backup = { repository, schedule, putLatencyMsMax: 0.001 };
  regions = await layOutRegions({ folder, gateway: false, drYaml: { backup } });
  await regions.startGlobal();
  await Promise.all([regions.startRegion('east'), regions.startRegion('west')]);
  flow = new OrderFlow({ nameserver: regions.globalNameserver, everyMs: 5 });
});

afterAll(async () => {
  await flow?.stop();
  await regions.stopAll('SIGKILL');
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Results of a region's finished runs. */
async function resultsOf(region: 'east' | 'west'): Promise<ScheduledRunResult[]> {
  const queue = openSqliteJobs({ file: path.join(regions[region].folder, 'jobs.db') });
  const jobs = await queue.list({ limit: 50 }).finally(() => queue.close());
  return jobs.filter((job) => job.state === 'done').map((job) => job.result as ScheduledRunResult);
}

async function metric(region: 'east' | 'west', name: string): Promise<number> {
  const text = (await httpGet(regions[region].http, '/metrics'))?.body ?? '';
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

test('stands still while sends are over the budget, and tells how often and how long', async () => {
  const east = regions.processes.get('east');
  const pauses = () => metric('east', 'dr_backup_pauses_total');
  const seen = async () => (await resultsOf('east')).find((result) => result.pauses > 0);
  // Under load a run that stands still does not end; one that was done before it was told does.
  const paused = await waitFor('a run that was paused', async () => {
    const before = await pauses();
    flow.start();
    await waitFor('a pause', async () => (await pauses()) > before);
    await flow.more(50);
    await flow.pause();
    const runs = (await resultsOf('east')).length;
    await waitFor('a run to end', async () => (await resultsOf('east')).length > runs);
    return await seen();
  });
  expect(east && hasLogged(east, 'run.paused')).toBe(true);
  expect(paused).toMatchObject({ isComplete: true, damage: [] });
  expect(paused.pausedMs).toBeGreaterThan(0);
  await waitFor('its end to be logged', () => east && hasLogged(east, 'run.resumed'));
  expect(await metric('east', 'dr_backup_paused_seconds_total')).toBeGreaterThan(0);
  const proof = ['backup', 'verify', paused.id, '--depth', 'hashed', '-c', regions.east.drYaml];
  expect(await drJson<{ problems: unknown[] }>(proof, folder)).toMatchObject({ problems: [] });
});

test('a region without sends is not held', async () => {
  const [result] = await waitFor('a run of the standby', async () => {
    const results = await resultsOf('west');
    return results.length > 0 ? results : undefined;
  });
  expect(result).toMatchObject({ pauses: 0, pausedMs: 0 });
  expect(await metric('west', 'dr_backup_pauses_total')).toBe(0);
});
