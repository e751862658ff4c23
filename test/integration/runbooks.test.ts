// Every command of the runbooks and of the README's daily use is run here, on real regions, as written;
// only the addresses and folders that a page makes up are those of the test. The test fails when a page gains a command that this scenario does not run.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { httpGet, layOutRegions, type RegionFiles, type Regions } from '../../cli/demo/regions.ts';
import { Producer } from '../../core-broker/client/index.ts';
import { runDr } from '../support/dr-command.ts';
import { ROOT } from '../support/source-tree.ts';

const PAGES = ['docs/runbook-switchover.md', 'docs/runbook-restore.md', 'README.md'];
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-runbooks-'));
const unrun = new Set(PAGES.flatMap(commandsOf));
let regions: Regions;

/** `./dr ...` lines of the shell blocks of a page, comments cut off. */
function commandsOf(page: string): string[] {
  const text = fs.readFileSync(path.join(ROOT, page), 'utf8');
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap(([, body = '']) => body.split('\n'))
    .map((line) => line.replace(/\s#.*$/, '').trim())
    .filter((line) => line.startsWith('./dr '));
}

/** What a page writes for a name server and for the folder of a stopped store. */
const MADE_UP = (at: RegionFiles): ReadonlyMap<string, string> =>
  new Map([
    ['10.0.0.1:9876', at.nameserver],
    ['STORE', 'old-store'],
  ]);

/** Runs one documented command in a region's folder and checks its exit status. */
async function page(command: string, at: RegionFiles, accepted: number[]): Promise<string> {
  expect(unrun.has(command) || done.has(command), `${command} stands on no page`).toBe(true);
  unrun.delete(command);
  done.add(command);
  const words = command.split(/\s+/).slice(1);
  const run = await runDr(
    words.map((word) => MADE_UP(at).get(word) ?? word),
    at.folder,
  );
  expect(accepted, `${command}\n${run.stdout}\n${run.stderr}`).toContain(run.status);
  return run.stdout;
}
const done = new Set<string>();

const isReady = async (region: RegionFiles) =>
  (await httpGet(region.http, '/health/ready'))?.status === 200;

async function sendSome(nameserver: string, count: number): Promise<void> {
  const producer = new Producer({ nameservers: [nameserver], group: 'runbook', routePollMs: 200 });
  producer.start();
  // The global name server polls its regions: the route may be a moment behind the region's health.
  await waitFor('a writable route', () =>
    producer.send({ topic: 'RUNBOOK', body: 'first' }).catch(() => undefined),
  );
  for (let i = 0; i < count; i++) await producer.send({ topic: 'RUNBOOK', body: `message ${i}` });
  await producer.stop();
}

beforeAll(async () => {
  regions = await layOutRegions({ folder });
  await regions.startGlobal();
  await Promise.all([regions.startRegion('east'), regions.startRegion('west')]);
  for (const command of ['./dr standby -c dr.yaml']) {
    unrun.delete(command);
    done.add(command);
  }
  const { east, west } = regions;
  await waitFor('both regions', async () => (await isReady(east)) && (await isReady(west)));
  await sendSome(regions.globalNameserver, 50);
});

afterAll(async () => {
  await regions.stopAll('SIGKILL');
  fs.rmSync(folder, { recursive: true, force: true });
});

test('every documented command runs as written', async () => {
  const { east, west } = regions;
  await page('./dr status -c dr.yaml', west, [0]);
  await waitFor(
    'west to be level',
    async () => (await runDr(['ready', '-c', west.drYaml])).status === 0,
  );
  await page('./dr ready -c dr.yaml', west, [0]);
  await page('./dr config example', west, [0]);
  await page('./dr config validate broker.properties', west, [0]);
  await page('./dr admin clusterList -n 10.0.0.1:9876', west, [0]);
  // Ports are taken by the very region that is looked at: that is a warning.
  await page('./dr doctor -c dr.yaml', west, [0]);
  await page('./dr plan switchover -c dr.yaml', west, [0]);

  await page('./dr backup init -c dr.yaml', east, [0]);
  await page('./dr backup run -c dr.yaml', east, [0]);
  await page('./dr backup list -c dr.yaml', east, [0]);
  await page('./dr backup verify -c dr.yaml --depth hashed', east, [0]);
  await page('./dr backup schedule -c dr.yaml', east, [0]);
  await page('./dr restore -c dr.yaml --into restored', east, [0]);
  const later = './dr restore -c dr.yaml --into restored-then --to-time 2030-01-01T00:00:00Z';
  await page(later, east, [0]);

  await page('./dr switchover -c dr.yaml --yes', west, [0]);
  await page('./dr resume -c dr.yaml', west, [0, 10]);
  await page('./dr abort -c dr.yaml', west, [4, 10]);
  await sendSome(regions.globalNameserver, 20);
  await page('./dr relay stop -c dr.yaml', east, [0]);

  await waitFor('east to follow', async () => {
    const status = JSON.parse((await httpGet(east.http, '/status'))?.body ?? '{}');
    return status.link?.state === 'following' && status.link.lagMessages === 0;
  });
  await regions.processes.get('west')?.stop('SIGKILL');
  await page('./dr failover -c dr.yaml', east, [8]);
  await page('./dr failover -c dr.yaml --accept-data-loss', east, [0, 3]);
  await sendSome(regions.globalNameserver, 20);

  fs.cpSync(west.store, path.join(east.folder, 'old-store'), { recursive: true });
  const list = './dr reconcile list -c dr.yaml --store old-store --export tail.log';
  await page(list, east, [0, 3]);
  expect(fs.existsSync(path.join(east.folder, 'tail.log'))).toBe(true);
  await page('./dr log verify STORE', east, [0]);

  await regions.startRegion('west');
  await waitFor('west to see that it was replaced', async () => {
    const status = JSON.parse((await httpGet(west.http, '/status'))?.body ?? '{}');
    return status.writeState === 'deposed';
  });
  await page('./dr rejoin -c dr.yaml --yes', west, [0]);
  await waitFor('west to follow', () => isReady(west));
});

test('a region that nobody answers boots closed and the operator opens it', async () => {
  const alone = await layOutRegions({ folder: path.join(folder, 'alone'), gateway: false });
  try {
    await alone.startRegion('east');
    const health = await httpGet(alone.east.http, '/health/ready');
    expect(health?.status).toBe(503);
    await page('./dr activate -c dr.yaml --epoch 1 --yes', alone.east, [0]);
    await waitFor('east to open', () => isReady(alone.east));
  } finally {
    await alone.stopAll('SIGKILL');
  }
});

test('no command of a page was left out', () => {
  expect([...unrun]).toEqual([]);
});
