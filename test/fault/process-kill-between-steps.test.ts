// kill -9 of a region between any two steps of a switch, then a restart with the controller dead and the
// peer unreachable: whatever the step was, no path may append (send, send-back, delayed message, link).
// The region is alone: its peer and every name server are dead, so it cannot know; it must stay closed.
// Red when the check of the guard is taken out of the store's append.
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { DrError, type Epoch } from '../../core-broker/base/index.ts';
import { createPeerClient } from '../../core-broker/client/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { PLANNED_STEPS, TappedController } from '../support/regions/controller-kill.ts';
import { OrderFlow } from '../support/regions/order-flow.ts';
import { everyWrite } from '../support/regions/raw-writes.ts';
import { OTHER, type RegionName, Stage } from '../support/regions/stage.ts';
import { recordSource, smallStoreOptions } from '../support/store-options.ts';
import { IS_SHORT } from './round.ts';

type Step = (typeof PLANNED_STEPS)[number];
const SHORT_STEPS: Step[] = ['fence', 'seal', 'halt', 'promote', 'relay'];
const steps: readonly Step[] = IS_SHORT ? SHORT_STEPS : PLANNED_STEPS;
let stage: Stage;
afterEach(() => stage?.close());

describe.each(steps)('controller killed after %s', (step) => {
  test.each(['east', 'west'] as const)('a lonely %s appends nothing', async (name) => {
    stage = await Stage.open(`lonely-${name}`);
    const controller = await TappedController.open(stage);
    const flow = stage.onClose(
      new OrderFlow({ nameserver: stage.regions.globalNameserver }),
      (each) => each.stop(),
    );
    flow.start();
    await flow.more(30);
    // A delayed message waits in the log, so that its delivery would append after the restart.
    const peer = stage.onClose(createPeerClient(), async (each) => each.close());
    const delayed = everyWrite('ORDERS').find((write) => write.name === 'delayed send');
    if (delayed) await peer.invoke(stage.files('east').broker, delayed.request, 10_000);
    await flow.pause();
    await stage.level('west');
    const words = ['switchover', '--to', 'west', '--yes'];
    await controller.killAt(words, { step, when: 'after' }, PLANNED_STEPS);
    await stage.kill('global');
    await stage.kill(OTHER[name]);
    await stage.kill(name);
    await expectClosed(name, peer);
  });
});

async function expectClosed(
  name: RegionName,
  peer: ReturnType<typeof createPeerClient>,
): Promise<void> {
  await stage.regions.startRegion(name);
  const before = await stage.statusNow(name);
  expect(before.writeState).not.toBe('open');
  for (let round = 0; round < 3; round++) {
    for (const write of everyWrite('ORDERS', before.minOffset)) {
      const sent = peer.invoke(stage.files(name).broker, write.request, 10_000);
      // A side that relays ends the connection when nobody is at the other end: no answer, no effect.
      const answer = await sent.catch((reason: unknown) => {
        if (DrError.is(reason, 'NETWORK', 'TIMEOUT')) return { code: 14, remark: String(reason) };
        throw reason;
      });
      expect([14, 16], `${write.name}: ${answer.code} ${answer.remark}`).toContain(answer.code);
    }
  }
  // Longer than the delay of the waiting message, measured by the broker's own clock.
  await stage.until(name, 'past the delay', ({ nowMs }) => nowMs > before.nowMs + 2_500);
  const after = await stage.statusNow(name);
  expect(after.maxOffset).toBe(before.maxOffset);
  expect(after.writeState).not.toBe('open');
  expect((await stage.health(name))?.ready).toBe(false);
  await stage.kill(name);
  await expectGuarded(name, after.maxOffset);
}

/** Without the broker in front, which refuses for comfort: the store itself must refuse every writer. */
async function expectGuarded(name: RegionName, end: number): Promise<void> {
  const store = await openStore(
    smallStoreOptions(stage.files(name).store, {
      commitLogDir: path.join(stage.files(name).store, 'commitlog'),
      mappedFileSizeCommitLog: 64 * 1024 * 1024,
      mappedFileSizeConsumeQueue: 6_000_000,
      messageIndexEnable: false,
      region: name,
      initialRole: name === 'east' ? 'active' : 'standby',
    }),
  );
  try {
    const { epoch, role } = store.guard.state;
    for (const topic of ['ORDERS', '%RETRY%raw-writes', 'SCHEDULE_TOPIC_XXXX']) {
      const record = recordSource(store, { topic, body: 'must not be stored' });
      expect(() => store.append(record), topic).toThrow(DrError);
    }
    // A link may write only into a standby and only at its epoch: any other one is somebody else's.
    const bytes = Buffer.alloc(64);
    const epochs = role === 'standby' ? [epoch - 1, epoch + 1] : [epoch - 1, epoch, epoch + 1];
    for (const foreign of epochs) {
      const refused = () => store.appendExact(end, bytes, foreign as Epoch);
      expect(refused, `link at ${foreign}`).toThrow(expect.objectContaining({ code: REFUSALS }));
    }
    expect(store.storeBounds().maxOffset).toBe(end);
  } finally {
    await store.close();
  }
}

const REFUSALS = expect.stringMatching(/^(FENCED|NOT_MASTER|REFUSED)$/);
