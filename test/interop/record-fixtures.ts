// Records test/fixtures/store and test/fixtures/frames anew from stock Apache brokers 4.9.7 and 5.5.0:
//   node test/interop/record-fixtures.ts
// Per version: the answers to one conversation with a fresh broker; a store with small files after a
// clean stop and after kill -9; for 5.5.0 a store with the default file sizes and few messages.
// What the broker itself serves from each store is kept beside it.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { freePort } from '../../cli/demo/process.ts';
import { holdSession } from '../support/stock/frame-session.ts';
import { servedByBroker } from '../support/stock/served.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import { questionsFor, runWorkload } from '../support/stock/workload.ts';
import {
  packedBytes,
  packStore,
  type StoreShape,
  type StoreTruth,
} from '../support/store-fixture.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

const FRAMES = path.resolve(import.meta.dirname, '../fixtures/frames');
const SMALL: StoreShape = {
  mappedFileSizeCommitLog: 1_048_576,
  mappedFileSizeConsumeQueue: 6_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
};
const DEFAULTS: StoreShape = {
  mappedFileSizeCommitLog: 1_073_741_824,
  mappedFileSizeConsumeQueue: 6_000_000,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
};

interface Site {
  version: ServerVersion;
  folder: string;
  namesrv: string;
  wire: TapWire;
}

async function boot(site: Site, name: string, shape: StoreShape, port: number) {
  return startBroker({
    version: site.version,
    folder: path.join(site.folder, name),
    port,
    namesrv: site.namesrv,
    // Nothing may be written by itself between the last look and the end of the process.
    properties: { ...shape, transactionCheckInterval: 86_400_000 },
  });
}

async function truthOf(site: Site, broker: RunningServer, from: number[], shape: StoreShape) {
  const questions = questionsFor(from, shape === SMALL);
  const served = await servedByBroker(site.wire, broker.address, questions);
  return { version: site.version, address: broker.address, shape, questions, served };
}

function keep(name: string, root: string, truth: StoreTruth): void {
  packStore(name, root, truth);
  process.stdout.write(`${name}: ${packedBytes(name)} bytes\n`);
}

async function recordFrames(site: Site): Promise<void> {
  const broker = await boot(site, 'frames', SMALL, await freePort(true));
  await holdSession(site.wire, { broker: broker.address, nameserver: site.namesrv });
  broker.child.kill();
  await broker.child.exited;
  fs.mkdirSync(FRAMES, { recursive: true });
  const rows = site.wire.exchanges.map((row) => JSON.stringify(row)).join(',\n');
  fs.writeFileSync(path.join(FRAMES, `${site.version}.json`), `[\n${rows}\n]\n`);
  process.stdout.write(`${site.version}: ${site.wire.exchanges.length} exchanges\n`);
}

async function recordSmall(site: Site): Promise<void> {
  const root = path.join(site.folder, 'small', 'store');
  const port = await freePort(true);
  let broker = await boot(site, 'small', SMALL, port);
  await runWorkload(site.wire, broker.address, { from: 0, big: 320, transactions: true });
  const clean = await truthOf(site, broker, [0], SMALL);
  await broker.stop();
  keep(`${site.version}-clean`, root, { ...clean, ending: 'clean' });
  broker = await boot(site, 'small', SMALL, port);
  await runWorkload(site.wire, broker.address, { from: 10_000, big: 40, transactions: true });
  const killed = await truthOf(site, broker, [0, 10_000], SMALL);
  broker.child.kill();
  await broker.child.exited;
  keep(`${site.version}-killed`, root, { ...killed, ending: 'killed' });
}

async function recordSparse(site: Site): Promise<void> {
  const broker = await boot(site, 'sparse', DEFAULTS, await freePort(true));
  await runWorkload(site.wire, broker.address, { from: 0, big: 0, transactions: false });
  const truth = await truthOf(site, broker, [0], DEFAULTS);
  await broker.stop();
  keep(`${site.version}-sparse`, path.join(site.folder, 'sparse', 'store'), {
    ...truth,
    ending: 'clean',
  });
}

async function record(version: ServerVersion): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-record-'));
  const at = { version, folder: path.join(folder, 'ns'), port: await freePort() };
  const nameserver = await startNameserver(at);
  const wire = new TapWire();
  const site = { version, folder, namesrv: nameserver.address, wire };
  try {
    await recordFrames(site);
    await recordSmall(site);
    if (version === '5.5.0') await recordSparse(site);
  } finally {
    wire.close();
    await nameserver.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
for (const version of ['4.9.7', '5.5.0'] as const) {
  if (wanted.length === 0 || wanted.includes(version)) await record(version);
}
