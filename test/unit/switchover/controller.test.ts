// The verbs over the model of two regions: order of steps, exit codes, each promise in words.
import { beforeEach, describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { DR_CODE } from '../../../core-broker/protocol/index.ts';
import type { ControlStore } from '../../../switchover/index.ts';
import { openSqliteControlStore } from '../../../switchover/index.ts';
import { modelController } from '../../support/crashing-controller.ts';
import { RegionModel } from '../../support/region-model.ts';
import type { FaultyWire } from '../../support/region-wire.ts';

let world: RegionModel;
let store: ControlStore;

const fails = async (call: Promise<unknown>): Promise<DrError> => {
  const reason = await call.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (reason instanceof DrError) return reason;
  throw reason;
};

const faultOn =
  (code: number, fault: 'lose-request' | 'lose-answer' | 'delay'): FaultyWire['faultOf'] =>
  (_call, asked) =>
    asked === code ? fault : 'ok';

beforeEach(() => {
  world = new RegionModel();
  store = openSqliteControlStore({ path: ':memory:' });
  world.advance(100);
});

describe('switchover', () => {
  test('moves the writing region in the decided order and loses nothing', async () => {
    const { controller, events } = modelController(world, store);
    const result = await controller.switchover({});
    expect(result).toMatchObject({ outcome: 'done', epoch: 2, problems: [] });
    expect(result.writePauseMs).toBeGreaterThan(0);
    const steps = events.flatMap((e) => (e.type === 'step' && e.stage === 'after' ? [e.step] : []));
    expect(steps.filter((step) => step !== 'catch-up')).toEqual([
      'fence',
      'seal',
      ...(steps.includes('drain') ? ['drain'] : []),
      'halt',
      'final-sync',
      'promote',
      'flip',
      'relay',
      'canary',
      'reverse',
    ]);
    world.advance(500);
    expect(world.violations()).toEqual([]);
    expect(world.missingIn('west')).toEqual([]);
    expect(world.broker('east').status()).toMatchObject({ role: 'standby', epoch: 2 });
    expect([...world.flips.values()].every((f) => f.region === 'west' && f.epoch === 2)).toBe(true);
  });

  test('goes back and forth, each time one epoch higher', async () => {
    for (const [n, to] of ['west', 'east', 'west'].entries()) {
      const { controller } = modelController(world, store);
      expect(await controller.switchover({ to })).toMatchObject({ outcome: 'done', epoch: n + 2 });
      world.advance(200);
      expect(world.missingIn(to)).toEqual([]);
    }
    expect(world.violations()).toEqual([]);
  });

  test('without a reverse link the old side stays sealed and relays', async () => {
    const { controller } = modelController(world, store);
    await controller.switchover({ reverseLink: false });
    expect(world.broker('east')).toMatchObject({ role: 'active', relayTo: 'west-a:1' });
    expect(world.broker('east').writeState).not.toBe('open');
  });

  test.each([
    [
      'a standby that lags too much',
      () => {
        world.broker('west').isLinked = false;
        world.broker('west').sampledEnd = 1e12;
      },
      'lag',
    ],
    [
      'a standby that is gone',
      () => {
        world.broker('west').isUp = false;
      },
      'answers',
    ],
    [
      'a gateway that is gone',
      () => {
        const gateway = world.flips.get('gw:1');
        if (gateway) gateway.isUp = false;
      },
      'gateway gw:1',
    ],
    [
      'different epochs',
      () => {
        world.broker('west').linkBrokenUntilMs = world.nowMs + 1_000;
        world.broker('west').epoch = 0;
      },
      'same epoch',
    ],
  ])('refuses %s and touches nothing', async (_name, breakIt, words) => {
    breakIt();
    const before = JSON.stringify(world.brokers.map((b) => [b.writeState, b.opId, b.haltedBy]));
    const reason = await fails(modelController(world, store).controller.switchover({ to: 'west' }));
    expect(reason.code).toBe('REFUSED');
    expect(reason.message).toContain(words);
    expect(JSON.stringify(world.brokers.map((b) => [b.writeState, b.opId, b.haltedBy]))).toBe(
      before,
    );
  });

  test('is rolled back when the standby is not drained in time; parked sends are kept', async () => {
    const wire: FaultyWire = {
      faultOf: () => 'ok',
      onEffect: (_call, code, stage) => {
        if (code !== DR_CODE.SEAL || stage !== 'before') return;
        world.advance(5);
        world.broker('west').linkBrokenUntilMs = world.nowMs + 10_000;
        world.broker('east').log.push({ id: -1, epoch: 1, atMs: 0 });
      },
    };
    const { controller } = modelController(world, store, { wire });
    const reason = await fails(controller.switchover({}));
    expect(reason.code).toBe('ROLLED_BACK');
    expect(world.broker('east').writeState).toBe('open');
    expect(world.broker('east').parked).toEqual([]);
    expect(world.violations()).toEqual([]);
    world.advance(12_000);
    expect(world.missingIn('west')).toEqual([]);
  });

  test('a second one is refused while the first holds the lock', async () => {
    const owner = { id: 'x', host: 'elsewhere', pid: 1, purpose: 'switchover' };
    await store.acquireLease('operation', { owner, ttlMs: 600_000 });
    const reason = await fails(modelController(world, store).controller.switchover({}));
    expect(reason.code).toBe('LOCKED');
    expect(reason.message).toContain('elsewhere');
  });

  test('a lost promotion answer is asked for, never assumed', async () => {
    let losses = 0;
    const wire: FaultyWire = {
      faultOf: (_call, code) => (code === DR_CODE.PROMOTE && losses++ === 0 ? 'lose-answer' : 'ok'),
    };
    const result = await modelController(world, store, { wire }).controller.switchover({});
    expect(result).toMatchObject({ outcome: 'done', epoch: 2 });
  });

  test('a promotion that nobody can tell about stops in doubt; resume ends it', async () => {
    const wire: FaultyWire = {
      faultOf: faultOn(DR_CODE.PROMOTE, 'lose-answer'),
      onEffect: (_call, code, stage) => {
        if (code === DR_CODE.PROMOTE && stage === 'after') world.broker('west').isUp = false;
      },
    };
    const reason = await fails(modelController(world, store, { wire }).controller.switchover({}));
    expect(reason.code).toBe('IN_DOUBT');
    expect(world.broker('east').writeState).toBe('sealed');
    const abort = await fails(modelController(world, store).controller.abort());
    expect(abort.code).toBe('IN_DOUBT');
    expect(world.broker('east').writeState).toBe('sealed');
    world.broker('west').isUp = true;
    const refused = await fails(modelController(world, store).controller.abort());
    expect(refused.code).toBe('REFUSED');
    expect(await modelController(world, store).controller.resume()).toMatchObject({
      outcome: 'done',
      epoch: 2,
    });
    expect(world.violations()).toEqual([]);
  });

  test('a promotion that never arrives is taken back', async () => {
    const wire: FaultyWire = { faultOf: faultOn(DR_CODE.PROMOTE, 'lose-request') };
    const reason = await fails(modelController(world, store, { wire }).controller.switchover({}));
    expect(reason.code).toBe('ROLLED_BACK');
    expect(world.broker('east').writeState).toBe('open');
  });

  test('a flip that missed it makes the end incomplete; resume flips it', async () => {
    const wire: FaultyWire = {
      faultOf: () => 'ok',
      onEffect: (_call, code) => {
        const gateway = world.flips.get('gw:1');
        if (code === DR_CODE.PROMOTE && gateway) gateway.isUp = false;
      },
    };
    const reason = await fails(modelController(world, store, { wire }).controller.switchover({}));
    expect(reason.code).toBe('INCOMPLETE');
    expect(reason.message).toContain('gw:1');
    const gateway = world.flips.get('gw:1');
    if (gateway) gateway.isUp = true;
    expect(await modelController(world, store).controller.resume()).toMatchObject({
      outcome: 'done',
    });
    expect(world.flips.get('gw:1')).toMatchObject({ region: 'west', epoch: 2 });
    expect((await fails(modelController(world, store).controller.resume())).code).toBe('NOT_FOUND');
  });

  test('a reversal whose broker was killed between role and link is repeated by resume', async () => {
    const east = world.broker('east');
    const wire: FaultyWire = {
      faultOf: () => 'ok',
      onEffect: (_call, code) => {
        if (code !== DR_CODE.REVERSE) return;
        Object.assign(east, { role: 'standby', epoch: 2, sealedBy: undefined, isDeposed: false });
        east.isUp = false;
      },
    };
    const reason = await fails(modelController(world, store, { wire }).controller.switchover({}));
    expect(reason.code).toBe('INCOMPLETE');
    east.isUp = true;
    expect(east.source).toBe('');
    await modelController(world, store).controller.resume();
    expect(east.source).toBe('west-a:1');
  });

  test('a write pause longer than parked sends live is a usage error', async () => {
    const { controller } = modelController(world, store);
    expect((await fails(controller.switchover({ maxWritePauseMs: 9_000 }))).code).toBe('USAGE');
  });
});

describe('a control store that is lost in the middle', () => {
  /** Fails every append from the n-th on, as a Redis that went away does. */
  const losing = (after: number): ControlStore => {
    let appends = 0;
    return new Proxy(store, {
      get: (target, name: keyof ControlStore) => {
        if (name !== 'append') return (target[name] as () => unknown).bind(target);
        return async (...args: Parameters<ControlStore['append']>) => {
          if (++appends > after) throw new DrError('UNREACHABLE', 'redis: gone');
          return target.append(...args);
        };
      },
    });
  };

  test('before the promotion everything is undone, after it everything goes forward', async () => {
    const ends = new Set<string>();
    for (let n = 0; n < 24; n++) {
      world = new RegionModel();
      store = openSqliteControlStore({ path: ':memory:' });
      world.advance(100);
      const { controller } = modelController(world, losing(n));
      const end = await controller.switchover({}).then(
        ({ outcome }) => outcome,
        (reason: DrError) => reason.code,
      );
      ends.add(end);
      const isPromoted = world.broker('west').role === 'active';
      expect(end).toBe(isPromoted ? (end === 'done' ? 'done' : 'INCOMPLETE') : 'ROLLED_BACK');
      world.advance(500);
      expect(world.broker(isPromoted ? 'west' : 'east').writeState).toBe('open');
      expect(world.violations()).toEqual([]);
      expect(world.missingIn(isPromoted ? 'west' : 'east')).toEqual([]);
      await modelController(world, store)
        .controller.resume()
        .catch((reason: DrError) => expect(['ROLLED_BACK', 'NOT_FOUND']).toContain(reason.code));
      world.advance(500);
      expect(world.broker(isPromoted ? 'west' : 'east').writeState).toBe('open');
    }
    expect([...ends].sort()).toEqual(['INCOMPLETE', 'ROLLED_BACK', 'done']);
  });
});

describe('failover', () => {
  const cutEast = () => {
    const east = world.broker('east');
    world.broker('west').linkBrokenUntilMs = world.nowMs + 1e9;
    world.advance(50);
    east.isUp = false;
  };

  test('says what is lost and changes nothing without the flag', async () => {
    cutEast();
    const { controller, events } = modelController(world, store);
    const reason = await fails(controller.failover({}));
    expect(reason.code).toBe('WOULD_LOSE_DATA');
    expect(reason.message).toContain('unknown: whatever was acknowledged after');
    expect(events.some((event) => event.type === 'statement')).toBe(true);
    expect(world.broker('west').status()).toMatchObject({ role: 'standby', epoch: 1 });
    expect((await store.read('operation'))?.value).toBeUndefined();
  });

  test('works with the old region black-holed; the loss is within the statement', async () => {
    cutEast();
    const result = await modelController(world, store).controller.failover({
      acceptDataLoss: true,
    });
    expect(result).toMatchObject({ outcome: 'done', epoch: 2 });
    const since = result.statement?.unknownSinceMs ?? 0;
    const missing = world.missingIn('west');
    const known = missing.filter(({ atMs }) => atMs <= since).length;
    expect(missing.length).toBeGreaterThan(0);
    expect(known).toBeLessThanOrEqual(result.statement?.confirmedMissing ?? -1);
    world.broker('east').isUp = true;
    world.advance(100);
    expect(world.broker('east').writeState).toBe('deposed');
    expect(world.violations()).toEqual([]);
  });

  test('cuts clients off, also where the old side was sealed; only a planned switch hands them over', async () => {
    await modelController(world, store).controller.switchover({});
    expect([...world.flips.values()].map(({ handedOver }) => handedOver)).toEqual([true, true]);
    world.advance(500);
    const back = await modelController(world, store).controller.failover({ acceptDataLoss: true });
    expect(back).toMatchObject({ outcome: 'done', epoch: 3 });
    expect([...world.flips.values()].map(({ handedOver }) => handedOver)).toEqual([false, false]);
  });

  test('a dead old side that refuses connections costs no time', async () => {
    cutEast();
    const { controller, events } = modelController(world, store);
    await controller.failover({ acceptDataLoss: true });
    const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []));
    const at = (stage: string) =>
      steps.find((event) => event.step === 'cut-off' && event.stage === stage)?.atMs ?? Number.NaN;
    expect(at('after') - at('before')).toBeLessThan(50);
  });

  test('takes over the fence of a switch that died: the old side is sealed all the same', async () => {
    const east = world.broker('east');
    east.answer(DR_CODE.FENCE, { opId: 'switchover-dead', deadlineMs: 10_000 });
    const result = await modelController(world, store).controller.failover({
      acceptDataLoss: true,
    });
    expect(result.statement).toMatchObject({ confirmedMissing: 0, unknownSinceMs: undefined });
    world.advance(200);
    expect(world.missingIn('west')).toEqual([]);
    expect(east.retired.has('switchover-dead')).toBe(true);
  });

  test('seals an old side that still answers and fetches its tail first: exact, nothing lost', async () => {
    const result = await modelController(world, store).controller.failover({
      acceptDataLoss: true,
    });
    expect(result.statement).toMatchObject({ confirmedMissing: 0, unknownSinceMs: undefined });
    world.advance(200);
    expect(world.missingIn('west')).toEqual([]);
    expect(world.violations()).toEqual([]);
  });

  test('takes over from a planned switch whose old side died while sealed', async () => {
    const wire: FaultyWire = {
      faultOf: () => 'ok',
      onEffect: (_call, code, stage) => {
        if (code === DR_CODE.FINAL_SYNC && stage === 'before') {
          world.broker('west').isUp = false;
        }
      },
    };
    const crash = { at: 'call-before', n: 4 } as const;
    await fails(modelController(world, store, { wire, crash }).controller.switchover({}));
    world.broker('west').isUp = true;
    world.broker('east').isUp = false;
    const result = await modelController(world, store).controller.failover({
      acceptDataLoss: true,
    });
    expect(result).toMatchObject({ outcome: 'done', epoch: 2 });
    world.broker('east').isUp = true;
    world.advance(200);
    expect(world.violations()).toEqual([]);
    expect(world.missingIn('west')).toEqual([]);
  });

  test('refuses a standby that knows a higher epoch elsewhere', async () => {
    const west = world.broker('west');
    const status = west.status.bind(west);
    west.status = () => ({ ...status(), activeEpoch: 7, activeRegion: 'east' });
    const call = modelController(world, store).controller.failover({ acceptDataLoss: true });
    expect((await fails(call)).code).toBe('REFUSED');
  });
});

describe('what only looks', () => {
  test('plan names every step with its reason and changes nothing', async () => {
    const plan = await modelController(world, store).controller.plan({ verb: 'switchover' });
    expect(plan).toMatchObject({ from: 'east', to: 'west', fromEpoch: 1 });
    expect(plan.checks.every(({ isOk }) => isOk)).toBe(true);
    expect(plan.steps.map(({ step }) => step)).toEqual([
      'catch-up',
      'fence',
      'seal',
      'drain',
      'halt',
      'final-sync',
      'promote',
      'flip',
      'relay',
      'canary',
      'reverse',
    ]);
    expect(world.broker('east').writeState).toBe('open');
  });

  test('ready tells both verbs apart when the old region is gone', async () => {
    world.broker('east').isUp = false;
    const ready = await modelController(world, store).controller.ready();
    expect(ready.switchover.ready).toBe(false);
    expect(ready.failover.ready).toBe(true);
    expect(ready.failover.statement?.to).toBe('west');
  });

  test('status shows the active region, the last operation and its timeline', async () => {
    await modelController(world, store).controller.switchover({});
    const status = await modelController(world, store).controller.status();
    expect(status).toMatchObject({ activeRegion: 'west', epoch: 2, phase: 'done' });
    expect(status.timeline.at(-1)).toMatchObject({ step: 'reverse', stage: 'after' });
    expect(status.lockedBy).toBeUndefined();
  });
});
