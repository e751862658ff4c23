// What a switch refuses and what it undoes, and what a standby refuses its clients: a standby that lags
// too much (4, nothing touched), one that is not drained by the deadline (5, the primary writes again and
// parked sends stand in the log once), writes to the standby; a group that lives at the standby.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { waitFor } from '../../cli/demo/process.ts';
import { createPeerClient, type PeerClient, PullConsumer } from '../../core-broker/client/index.ts';
import { runDr } from '../support/dr-command.ts';
import { judgeLog, OrderFlow } from '../support/regions/order-flow.ts';
import { everyWrite } from '../support/regions/raw-writes.ts';
import { type DrDocument, PATIENT_MS, Stage } from '../support/regions/stage.ts';
import { type WanProxy, wanProxy } from '../support/wan-proxy.ts';

let stage: Stage;
let flow: OrderFlow;
let peer: PeerClient;
let wan: WanProxy;

beforeAll(async () => {
  stage = await Stage.layOut('regions-refusals', { drYaml: { standbyGroups: ['reports'] } });
  peer = stage.onClose(createPeerClient(), async (each) => each.close());
  const [host, port] = stage.files('east').broker.split(':');
  wan = stage.onClose(await wanProxy(`${host}:${Number(port) + 1}`), (each) => each.stop());
  stage.editYaml('west', (yaml) => {
    yaml['link'] = { haAddress: wan.address, silenceMs: 120_000, stallMs: 60_000 };
  });
  await stage.start();
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.regions.globalNameserver, everyMs: 5 }),
    (each) => each.stop(),
  );
  flow.start();
  await flow.more(100);
  await flow.pause();
  await stage.level('west');
});
afterAll(() => stage?.close());

/** The dr.yaml of west with other settings for one controller. */
function controllerYaml(name: string, switchover: object): string {
  const file = path.join(stage.files('west').folder, `${name}.yaml`);
  const document = parse(fs.readFileSync(stage.files('west').drYaml, 'utf8')) as DrDocument;
  fs.writeFileSync(file, stringify({ ...document, switchover }));
  return file;
}

test('a client of the standby is refused and nothing is appended', async () => {
  const before = await stage.statusNow('west');
  for (const write of everyWrite('ORDERS')) {
    const answer = await peer.invoke(stage.files('west').broker, write.request, 10_000);
    expect(answer.code, `${write.name}: ${answer.remark}`).toBe(16);
  }
  expect((await stage.statusNow('west')).maxOffset).toBe(before.maxOffset);
  expect(stage.sameLog(before.maxOffset)).toBe(true);
});

test('a standby that lags too much is refused with exit 4 and nothing is touched', async () => {
  wan.blackhole();
  flow.start();
  await stage.until('west', 'behind', ({ link }) => (link?.lagMessages ?? 0) > 50);
  const yaml = controllerYaml('lag', { maxLagMessages: 10 });
  const before = await stage.statusNow('east');
  const run = await runDr(['switchover', '-c', yaml, '--to', 'west', '--yes']);
  expect(run.status, run.stderr).toBe(4);
  expect(run.stderr).toMatch(/lag/);
  const after = await stage.statusNow('east');
  expect(after).toMatchObject({ writeState: 'open', epoch: 1 });
  expect(after.opId).toBe(before.opId);
  expect(fs.readFileSync(stage.regions.processes.get('east')?.logFile ?? '', 'utf8')).not.toMatch(
    /fenced by/,
  );
  await flow.more(20);
});

test('not drained by the deadline: exit 5, the primary writes again, parked sends stand once', async () => {
  // Nearly level is allowed to be far away here, so the fence is raised while the link stands still.
  const yaml = controllerYaml('drain', {
    fenceLagBytes: 1_000_000_000,
    maxLagMs: 86_400_000,
    drainTimeoutMs: 400,
    maxWritePauseMs: 2_000,
  });
  const run = await runDr(['switchover', '-c', yaml, '--to', 'west', '--yes']);
  expect(run.status, run.stderr).toBe(5);
  const log = fs.readFileSync(stage.regions.processes.get('east')?.logFile ?? '', 'utf8');
  expect(log).toMatch(/fenced by/);
  await stage.until('east', 'open', ({ writeState }) => writeState === 'open');
  await flow.more(50);
  await flow.pause();
  wan.heal();
  const end = await stage.level('west');
  expect(stage.sameLog(end)).toBe(true);
  const verdict = await judgeLog(flow, stage.files('east').nameserver);
  expect(verdict).toMatchObject({ lost: 0, duplicatedByBroker: 0, outOfOrder: 0 });
  expect(await stage.statusNow('west')).toMatchObject({ role: 'standby', epoch: 1 });
});

test('a group of the standby consumes there and keeps its offsets over the promotion', async () => {
  const { nameserver } = stage.files('west');
  const reader = new PullConsumer({ nameservers: [nameserver], group: 'reports' });
  const visitor = new PullConsumer({ nameservers: [nameserver], group: 'visitors' });
  reader.start();
  visitor.start();
  try {
    const [queue] = await reader.queues('ORDERS');
    if (!queue) throw new Error('no queue of ORDERS at the standby');
    const pulled = await reader.pull(queue, 0);
    expect(pulled.messages.length).toBeGreaterThan(3);
    await reader.commit(queue, 3);
    expect(await reader.offset(queue)).toBe(3);
    expect((await visitor.pull(queue, 0)).messages.length).toBeGreaterThan(3);
    await expect(visitor.commit(queue, 3)).rejects.toMatchObject({ context: { code: 16 } });
    const switched = await waitFor(
      'the switch',
      async () => {
        await stage.ready('east', 'west');
        const run = await stage.dr('west', 'switchover', '--to', 'west', '--yes');
        // 5 changed nothing: the machine was too busy for the write pause.
        expect([0, 5], run.stderr).toContain(run.status);
        return run.status === 0;
      },
      { timeoutMs: PATIENT_MS },
    );
    expect(switched).toBe(true);
    expect(await reader.offset(queue)).toBe(3);
    await reader.commit(queue, 4);
    expect(await reader.offset(queue)).toBe(4);
  } finally {
    reader.stop();
    visitor.stop();
  }
});
