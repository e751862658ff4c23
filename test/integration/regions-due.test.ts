// What comes due while the region changes, with real daemons and a planned switch: 200 timers, 200 delayed
// messages, 50 open transactions and 20 retries, each delivered exactly once.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Property, parseMessageProperties } from '../../core-broker/protocol/index.ts';
import { COUNTS } from '../support/regions/due-messages.ts';
import { type DueStage, openDueStage } from '../support/regions/due-stage.ts';

let open: DueStage;
beforeAll(async () => {
  open = await openDueStage('regions-due');
});
afterAll(() => open?.stage.close());

test('a planned switch in the middle: everything once, nothing early, in order', async () => {
  const { stage, due, arrived, everythingArrived, found } = open;
  await arrived('TIMED', 20);
  const change = () => stage.dr('west', 'switchover', '--to', 'west', '--yes');
  // 5: rolled back on a machine too busy for the write pause; what was due meanwhile goes on as well.
  let run = await change();
  for (let again = 0; run.status === 5 && again < 4; again++) run = await change();
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  await everythingArrived();
  const changedAt = (await stage.statusNow('west')).lineage.at(-1)?.startOffset ?? 0;
  const exact = { missing: [], twice: 0 };
  expect(await found('TIMED', 'timer', COUNTS.timers)).toEqual(exact);
  expect(await found('DELAYED', 'delayed', COUNTS.delayed)).toEqual(exact);
  expect(await found('SETTLED', 'half', COUNTS.halves)).toEqual(exact);
  const timed = await due.read('TIMED');
  // It was in the middle indeed: both sides delivered.
  const ofEast = timed.filter(({ physicalOffset }) => physicalOffset < changedAt).length;
  expect(ofEast).toBeGreaterThan(0);
  expect(ofEast).toBeLessThan(COUNTS.timers);
  for (const record of timed) {
    const wanted = parseMessageProperties(record.properties).get(Property.TIMER_OUT_MS);
    expect(record.storeTimestampMs).toBeGreaterThanOrEqual(Number(wanted));
  }
  for (const level of [0, 1, 2, 3]) {
    const numbers = (await due.bodies('DELAYED'))
      .map((body) => Number(body.split('-')[1]))
      .filter((n) => n % 4 === level);
    expect(numbers).toEqual([...numbers].sort((left, right) => left - right));
  }
});
