// The standby daemon's life: kill -9 at any moment goes on at the exact byte, SIGTERM ends cleanly, a
// second process on the same store is refused by name.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { freePort, tail } from '../../cli/demo/process.ts';
import { OrderFlow } from '../support/regions/order-flow.ts';
import { type DrDocument, Stage } from '../support/regions/stage.ts';

let stage: Stage;
let flow: OrderFlow;

beforeAll(async () => {
  // Small files, so that kills also meet the roll from one file to the next.
  stage = await Stage.open('regions-standby', { mappedFileSizeCommitLog: 256 * 1024 });
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.regions.globalNameserver, lanes: 8, everyMs: 1 }),
    (each) => each.stop(),
  );
  flow.start();
  await flow.more(50);
});
afterAll(() => stage?.close());

test('a standby killed -9 again and again goes on at the exact byte', async () => {
  let last = 0;
  for (let round = 0; round < 4; round++) {
    const { maxOffset } = await stage.until(
      'west',
      'moving on',
      (status) => status.link?.state === 'following' && status.maxOffset > last,
    );
    last = maxOffset;
    await stage.kill('west');
    await flow.more(100);
    await stage.regions.startRegion('west');
  }
  await flow.pause();
  const end = await stage.level('west');
  expect(end).toBeGreaterThan(last);
  expect(stage.sameLog(end)).toBe(true);
  const exported = fs.readdirSync(stage.files('west').store).filter((name) => /^drTail/.test(name));
  expect(exported).toEqual([]);
});

test('SIGTERM ends the daemon with 0 and without a trace of a crash', async () => {
  expect(await stage.kill('west', 'SIGTERM')).toBe(0);
  expect(fs.existsSync(path.join(stage.files('west').store, 'abort'))).toBe(false);
  const log = stage.regions.processes.get('west')?.logFile ?? '';
  expect(tail(log, 1)).toContain('"event":"server.stopped"');
  await stage.regions.startRegion('west');
  await stage.ready('west');
  expect(stage.sameLog(await stage.level('west'))).toBe(true);
});

test('a second process on one store is refused with exit 7 that names it', async () => {
  const { store, folder, drYaml } = stage.files('east');
  const before = await stage.statusNow('east');
  const port = await freePort(true);
  const broker = fs
    .readFileSync(path.join(folder, 'broker.properties'), 'utf8')
    .replace(/^listenPort=.*$/m, `listenPort=${port}`)
    .replace(/^haListenPort=.*$/m, `haListenPort=${port + 1}`);
  fs.writeFileSync(path.join(folder, 'second.properties'), broker);
  const document = parse(fs.readFileSync(drYaml, 'utf8')) as DrDocument;
  delete document['nameserver'];
  document['broker'] = { config: './second.properties' };
  document['http'] = { host: '127.0.0.1', port: 0 };
  const yaml = path.join(folder, 'second.yaml');
  fs.writeFileSync(yaml, stringify(document));
  const second = stage.startDr(yaml, ['standby']);
  const status = await new Promise((resolve) => {
    const look = setInterval(() => {
      if (second.exit() === undefined) return;
      clearInterval(look);
      resolve(second.exit());
    }, 20);
  });
  const said = tail(second.logFile, 20);
  expect(status, said).toBe(7);
  expect(said).toContain(store);
  expect(said).toContain(String(stage.regions.processes.get('east')?.pid));
  expect(await stage.statusNow('east')).toMatchObject({ writeState: 'open', boot: before.boot });
});
