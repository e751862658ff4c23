// The link over a bad network, between real regions under load: cut for a while, half-open, slow. It
// goes on at the exact byte, its lag tells the truth meanwhile, and health is red until it is back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OrderFlow } from '../support/regions/order-flow.ts';
import { Stage } from '../support/regions/stage.ts';
import { type WanProxy, wanProxy } from '../support/wan-proxy.ts';

let stage: Stage;
let wan: WanProxy;
let flow: OrderFlow;

beforeAll(async () => {
  stage = await Stage.layOut('link-faults', { mappedFileSizeCommitLog: 256 * 1024 });
  const [host, port] = stage.files('east').broker.split(':');
  wan = stage.onClose(await wanProxy(`${host}:${Number(port) + 1}`), (each) => each.stop());
  stage.editYaml('west', (yaml) => {
    yaml['link'] = { haAddress: wan.address, stallMs: 1_000, silenceMs: 2_000, levelMs: 500 };
  });
  await stage.start();
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.regions.globalNameserver, everyMs: 5 }),
    (each) => each.stop(),
  );
  flow.start();
  await flow.more(50);
});
afterAll(() => stage?.close());

/** Behind, red, and as far behind as the two logs say. */
async function expectTruth(): Promise<void> {
  const behind = await stage.until(
    'west',
    'behind',
    ({ link }) => (link?.lagMessages ?? 0) > 30 && (link?.lagMs ?? 0) > 500,
  );
  const east = await stage.statusNow('east');
  const sampled = behind.maxOffset + (behind.link?.lagBytes ?? 0);
  expect(sampled).toBeLessThanOrEqual(east.maxOffset);
  expect(sampled).toBeGreaterThan(behind.maxOffset);
  expect((await stage.health('west'))?.ready).toBe(false);
  await flow.pause();
  const { maxOffset } = await stage.statusNow('east');
  await stage.until(
    'west',
    'lag equal to the difference of the logs',
    (status) => status.maxOffset + (status.link?.lagBytes ?? 0) === maxOffset,
  );
  flow.start();
}

async function expectExactResume(): Promise<void> {
  await flow.pause();
  expect(stage.sameLog(await stage.level('west'))).toBe(true);
  await stage.ready('west');
  flow.start();
}

test('cut for a while', async () => {
  wan.cut();
  await expectTruth();
  wan.heal();
  await expectExactResume();
});

test('half-open: the peer is gone without a word', async () => {
  wan.halfOpen();
  await flow.more(100);
  // Nobody heals it: the link itself must notice and connect anew.
  await expectExactResume();
});

test('nothing passes and nothing is reset', async () => {
  wan.blackhole();
  await expectTruth();
  wan.heal();
  await expectExactResume();
});

test('slower than the load', async () => {
  wan.rate(4_000);
  await expectTruth();
  wan.rate(0);
  await expectExactResume();
});
