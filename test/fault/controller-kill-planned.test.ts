// kill -9 of the controller before, during and after every step of a planned switch, under load, then
// `dr resume` or `dr abort`: one writing region, the same end state, nothing acknowledged lost, nothing
// doubled by a broker. A request that was on its way when its sender died arrives after the rescue.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type KillPoint,
  type KillRound,
  KillSite,
  MOMENTS,
  PLANNED_STEPS,
  shortRounds,
} from '../support/regions/controller-kill.ts';
import { IS_SHORT } from './round.ts';

/** Steps whose end `dr abort` may still take back. */
const REVERSIBLE = PLANNED_STEPS.slice(0, PLANNED_STEPS.indexOf('promote'));

const everyRound: KillRound[] = PLANNED_STEPS.flatMap((step) =>
  MOMENTS.flatMap((when): KillRound[] => [
    { step, when, rescue: 'resume' },
    { step, when, rescue: 'abort' },
  ]),
);

let site: KillSite;

beforeAll(async () => {
  site = await KillSite.open('kill-planned', 30);
  site.flow.start();
  await site.flow.more(50);
});
afterAll(() => site?.stage.close());

describe('kill -9 of the controller', () => {
  test.each(IS_SHORT ? shortRounds(PLANNED_STEPS) : everyRound)(
    '$when $step, then $rescue',
    async ({ rescue, ...point }) => {
      const { stage, controller, flow, watch, active, standby } = site;
      await stage.ready(active, standby);
      const words = ['switchover', '--to', standby, '--yes'];
      const late = await controller.killAt(words, point, PLANNED_STEPS);
      if (await rescueBy(rescue, point)) site.noteSwitched();
      await expectEnd();
      // The dead controller's last request arrives now. It must not change anything.
      for (const held of late) held.release();
      await flow.more(20);
      await expectEnd();
      expect(watch.violations).toEqual([]);
    },
  );

  test('nothing was lost, doubled or reordered over all rounds', () => site.expectNothingLost());
});

/** @returns whether the switch went through */
async function rescueBy(rescue: KillRound['rescue'], point: KillPoint): Promise<boolean> {
  const isReversible =
    REVERSIBLE.some((step) => step === point.step) ||
    (point.step === 'promote' && point.when === 'before');
  const run = await site.controller.run(rescue);
  const said = `${rescue}: ${run.status}\n${run.stdout}\n${run.stderr}`;
  if (rescue === 'abort' && isReversible) {
    expect(run.status, said).toBe(0);
    return false;
  }
  if (rescue === 'abort') {
    // Refused, or nothing left to abort: the way is forward.
    expect([4, 10], said).toContain(run.status);
    return rescueBy('resume', point);
  }
  // 5: the machine was too slow for the write pause that was promised, and the way back was open.
  const allowed = isReversible ? [0, 5] : [0, 10];
  expect(allowed, said).toContain(run.status);
  return run.status !== 5;
}

async function expectEnd(): Promise<void> {
  const { stage, active, standby, epoch } = site;
  await site.expectOneWriter();
  await stage.until(
    standby,
    'a following standby',
    (status) =>
      status.role === 'standby' && status.epoch === epoch && status.link?.state === 'following',
  );
  await stage.until(active, 'nothing parked', (status) => status.parkedSends === 0);
}
