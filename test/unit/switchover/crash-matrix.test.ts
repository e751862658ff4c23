// A controller killed at every point of a switch: around each control call and each journal record.
// After it, resume or abort (by a new controller, possibly with an empty control store) must lead to one
// of two end states, with every promise kept. The same by random faults on the wire.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { DR_CODE } from '../../../core-broker/protocol/index.ts';
import {
  type ControlStore,
  type OperationResult,
  openSqliteControlStore,
} from '../../../switchover/index.ts';
import { type CrashPoint, modelController } from '../../support/crashing-controller.ts';
import { RegionModel } from '../../support/region-model.ts';
import type { FaultyWire, WireFault } from '../../support/region-wire.ts';

const openStore = () => openSqliteControlStore({ path: ':memory:' });
type Verb = 'switchover' | 'failover';
type Rescue = 'resume' | 'abort';

interface Faults {
  crash?: CrashPoint | undefined;
  wire?: FaultyWire;
}

const start = (world: RegionModel, store: ControlStore, verb: Verb, faults: Faults = {}) => {
  const { crash, wire } = faults;
  const made = modelController(world, store, { ...(crash && { crash }), ...(wire && { wire }) });
  const { controller } = made;
  const call =
    verb === 'switchover'
      ? controller.switchover({})
      : controller.failover({ acceptDataLoss: true });
  return { ...made, ended: settle(call) };
};

async function settle(call: Promise<OperationResult>): Promise<OperationResult | DrError> {
  try {
    return await call;
  } catch (reason) {
    if (reason instanceof DrError) return reason;
    throw reason;
  }
}

/** New controllers until one says that it is over; the world is whole again. */
async function rescue(world: RegionModel, store: ControlStore, how: Rescue): Promise<string> {
  let verb = how;
  const answers: string[] = [];
  for (let n = 0; n < 6; n++) {
    const { controller } = modelController(world, store);
    const result = await settle(verb === 'resume' ? controller.resume() : controller.abort());
    if (!(result instanceof DrError)) return result.outcome;
    answers.push(`${verb} ${result.code}: ${result.message}`);
    // After the promotion abort is refused, or finds nothing when the store is lost: forward then.
    const isForward = result.code === 'REFUSED' || result.code === 'NOT_FOUND';
    if (verb === 'abort' && isForward) verb = 'resume';
    else if (result.code === 'NOT_FOUND' || result.code === 'ROLLED_BACK') return result.code;
  }
  throw new Error(`not over after six rescues: ${answers.join(' | ')}`);
}

function heal(world: RegionModel): void {
  for (const broker of world.brokers) {
    broker.isUp = true;
    broker.isLinked = true;
    broker.linkBrokenUntilMs = 0;
  }
  for (const flip of world.flips.values()) flip.isUp = true;
}

interface Expectation {
  verb: Verb;
  /** False when the control store was lost: what only it knew may be missing. */
  isWhole: boolean;
  statement?: { unknownSinceMs: number | undefined; confirmedMissing: number };
}

/** The end state: one region writes, the other does not, nothing acknowledged is missing there. */
function expectEndState(world: RegionModel, { verb, isWhole }: Expectation): void {
  world.advance(4_000);
  expect(world.violations()).toEqual([]);
  const open = [
    ...new Set(world.brokers.filter((b) => b.writeState === 'open').map((b) => b.region)),
  ];
  expect(open).toHaveLength(1);
  const [active = ''] = open;
  const other = active === 'east' ? 'west' : 'east';
  const epoch = active === 'east' ? 1 : 2;
  const actives = world.brokers.filter((b) => b.region === active);
  expect(actives.map((b) => b.writeState)).toEqual(actives.map(() => 'open'));
  expect(actives.map((b) => b.epoch)).toEqual(actives.map(() => epoch));
  for (const broker of world.brokers) expect(broker.parked).toEqual([]);
  for (const flip of world.flips.values()) expect(flip).toMatchObject({ region: active, epoch });
  const isFollowing = verb === 'switchover' && isWhole;
  for (const broker of world.brokers.filter((b) => b.region === other)) {
    if (isFollowing || active === 'east') {
      expect(broker.status()).toMatchObject({
        role: 'standby',
        epoch,
        link: { state: 'following' },
      });
    } else expect(broker.writeState).not.toBe('open');
  }
  if (verb === 'switchover' || active === 'east') expect(world.missingIn(active)).toEqual([]);
}

async function countPoints(
  verb: Verb,
  names: string[],
): Promise<{ calls: number; records: number }> {
  const world = new RegionModel(names);
  world.advance(100);
  const run = start(world, openStore(), verb);
  expect(await run.ended).toMatchObject({ outcome: 'done' });
  return run.counts();
}

const NAMES = ['a', 'b'];

describe.each(['switchover', 'failover'] as const)('%s', (verb) => {
  describe.each(['resume', 'abort'] as const)('killed, then %s', (how) => {
    test.each([
      ['with its journal', false],
      ['with an empty control store', true],
    ])('ends in one of two states %s', async (_name, isStoreLost) => {
      const counts = await countPoints(verb, NAMES);
      expect(counts.records).toBeGreaterThan(12);
      for (const at of ['call-before', 'call-after', 'record-before', 'record-after'] as const) {
        const last = at.startsWith('call') ? counts.calls : counts.records;
        for (let n = 1; n <= last; n++) {
          const world = new RegionModel(NAMES);
          world.advance(100);
          const store = openStore();
          const run = start(world, store, verb, { crash: { at, n } });
          await run.ended;
          expect(run.isDead(), `${at} ${n}`).toBe(true);
          world.advance(50);
          expect(world.violations()).toEqual([]);
          const answer = await rescue(world, isStoreLost ? openStore() : store, how).catch(
            (reason: unknown) =>
              Promise.reject(new Error(`killed at ${at} ${n}`, { cause: reason })),
          );
          try {
            // Nothing to resume or abort: the kill came before the first effect, the old side writes.
            if (answer === 'NOT_FOUND') expect(world.violations()).toEqual([]);
            expectEndState(world, { verb, isWhole: !isStoreLost });
          } catch (reason) {
            throw new Error(`killed at ${at} ${n}, ${how} said ${answer}`, { cause: reason });
          }
        }
      }
    });
  });
});

describe('a promotion still on its way when its controller is killed and abort is typed', () => {
  const lastCall = { switchover: 6, failover: 5 };

  test.each(['switchover', 'failover'] as const)(
    '%s: either abort or promotion wins',
    async (verb) => {
      const winners = new Set<string>();
      for (let delayMs = 5; delayMs <= 700; delayMs += 15) {
        const world = new RegionModel(['a']);
        world.delayMs = delayMs;
        world.advance(100);
        const store = openStore();
        let promotions = 0;
        const wire: FaultyWire = {
          faultOf: (_call, code) =>
            code === DR_CODE.PROMOTE && promotions++ === 0 ? 'delay' : 'ok',
        };
        const crash = { at: 'call-before', n: lastCall[verb] } as const;
        const run = start(world, store, verb, { crash, wire });
        await run.ended;
        expect(run.isDead()).toBe(true);
        const first = await settle(modelController(world, store).controller.abort());
        const isUndone = !(first instanceof DrError);
        winners.add(isUndone ? 'abort' : 'promotion');
        // Before the last rescue: an undone promotion that arrives now must not take effect.
        world.advance(2_000);
        expect(world.broker('west').role).toBe(isUndone ? 'standby' : 'active');
        expect(world.broker('east').writeState === 'open').toBe(isUndone);
        if (!isUndone) await rescue(world, store, 'resume');
        expectEndState(world, { verb, isWhole: true });
      }
      expect([...winners].sort()).toEqual(['abort', 'promotion']);
    },
  );
});

test('resume after each kill finishes a switch whose seal was journaled', async () => {
  const world = new RegionModel(['a']);
  world.advance(100);
  const store = openStore();
  // Records: catch-up or fence first; a kill after the seal's record is past the last optional step.
  const run = start(world, store, 'switchover', { crash: { at: 'call-before', n: 3 } });
  await run.ended;
  const { controller } = modelController(world, store);
  expect(await controller.resume()).toMatchObject({ outcome: 'done', epoch: 2 });
  expectEndState(world, { verb: 'switchover', isWhole: true });
});

const fault = fc.oneof(
  { weight: 12, arbitrary: fc.constant<WireFault>('ok') },
  {
    weight: 3,
    arbitrary: fc.constantFrom<WireFault>(
      'lose-request',
      'lose-answer',
      'repeat',
      'delay',
      'late-repeat',
    ),
  },
);
const crash = fc.option(
  fc.record({
    at: fc.constantFrom<CrashPoint['at']>(
      'call-before',
      'call-after',
      'record-before',
      'record-after',
    ),
    n: fc.integer({ min: 1, max: 28 }),
  }),
  { nil: undefined },
);

test('random faults, outages and kills keep every promise', async () => {
  const scenario = fc.record({
    verb: fc.constantFrom<Verb>('switchover', 'failover'),
    names: fc.constantFrom(['a'], ['a', 'b']),
    faults: fc.array(fault, { minLength: 0, maxLength: 120 }),
    firstCrash: crash,
    secondCrash: crash,
    rescues: fc.array(fc.constantFrom<Rescue>('resume', 'abort'), { minLength: 1, maxLength: 3 }),
    outage: fc.option(
      fc.record({
        region: fc.constantFrom('east', 'west'),
        fromCall: fc.integer({ min: 0, max: 60 }),
        calls: fc.integer({ min: 1, max: 40 }),
      }),
      { nil: undefined },
    ),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const world = new RegionModel(given.names);
      world.advance(100);
      const store = openStore();
      const wire: FaultyWire = {
        faultOf: (call) => given.faults[call] ?? 'ok',
        onEffect: (call) => {
          const { outage } = given;
          if (!outage) return;
          const isOut = call >= outage.fromCall && call < outage.fromCall + outage.calls;
          for (const b of world.brokers) if (b.region === outage.region) b.isUp = !isOut;
        },
      };
      await start(world, store, given.verb, { crash: given.firstCrash, wire }).ended;
      expect(world.violations()).toEqual([]);
      const [how = 'resume', ...others] = given.rescues;
      const second = modelController(world, store, {
        wire: { faultOf: (call) => given.faults[call + 37] ?? 'ok' },
        ...(given.secondCrash ? { crash: given.secondCrash } : {}),
      });
      await settle(how === 'resume' ? second.controller.resume() : second.controller.abort());
      expect(world.violations()).toEqual([]);
      heal(world);
      // Late copies of requests of dead controllers arrive before the last rescue and during it.
      await rescue(world, store, others[0] ?? 'resume');
      world.advance(1_000);
      await rescue(world, store, others[1] ?? 'resume');
      expectEndState(world, { verb: given.verb, isWhole: false });
    }),
    { numRuns: 200 },
  );
});
