// The epoch guard against a small model: any order of calls and restarts. What must hold always:
// the epoch never falls, appends are possible only in the states that allow them, a seal or deposal
// survives restarts, and what a restart shows is what was in force before it.
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DrError } from '../../core-broker/base/index.ts';
import { FileEpochGuard } from '../../core-broker/store/guard/epoch-guard.ts';
import { tempFolder } from '../support/store-options.ts';

type Step =
  | { do: 'fence' | 'unfence' | 'seal' | 'unseal'; op: string }
  | { do: 'promote' | 'demote'; op: string; epoch: number }
  | { do: 'depose' | 'open' | 'adopt'; epoch: number }
  | { do: 'restart'; isAbnormal: boolean; end: number };

const op = fc.constantFrom('a', 'b');
const epoch = fc.integer({ min: 0, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('fence', 'unfence', 'seal', 'unseal'), op }),
  fc.record({ do: fc.constantFrom('promote', 'demote'), op, epoch }),
  fc.record({ do: fc.constantFrom('depose', 'open', 'adopt'), epoch }),
  fc.record({
    do: fc.constant('restart' as const),
    isAbnormal: fc.boolean(),
    end: fc.integer({ min: 0, max: 100 }),
  }),
) as fc.Arbitrary<Step>;

const REFUSALS = ['REFUSED', 'FENCED', 'NOT_MASTER'] as const;
const passes = (action: () => void): boolean => {
  try {
    action();
    return true;
  } catch (reason) {
    if (DrError.is(reason, ...REFUSALS)) return false;
    throw reason;
  }
};

function apply(guard: FileEpochGuard, made: Step): unknown {
  const lineage = (of: number) => [{ epoch: of, boot: `x${of}`, startOffset: 0 }];
  switch (made.do) {
    case 'promote':
      return guard.promote({ opId: made.op, fromEpoch: made.epoch, startOffset: 5 });
    case 'demote':
      return guard.demote({ opId: made.op, epoch: made.epoch, lineage: lineage(made.epoch) });
    case 'depose':
      return guard.depose({ region: 'west', epoch: made.epoch });
    case 'open':
      return guard.open(made.epoch);
    case 'adopt':
      return guard.adoptLineage(made.epoch, lineage(made.epoch));
    case 'restart':
      return;
    default:
      return guard[made.do](made.op);
  }
}

test('no order of calls opens a side that must be closed', async () => {
  const root = tempFolder();
  let run = 0;
  const property = fc.property(
    fc.constantFrom('active' as const, 'standby' as const),
    fc.array(step, { maxLength: 25 }),
    (initialRole, steps) => {
      const init = { file: path.join(root, `e${run++}`), region: 'east', initialRole };
      let guard = FileEpochGuard.load(init, 0, false);
      for (const made of steps) {
        const before = guard.state;
        const was = guard.writeState;
        if (made.do === 'restart') {
          guard = FileEpochGuard.load(init, made.end, made.isAbnormal);
          expect({ ...guard.state, lineage: [] }).toEqual({ ...before, lineage: [] });
          expect(guard.writeState).not.toBe('open');
          expect(guard.writeState).not.toBe('fenced');
        } else passes(() => apply(guard, made));
        const { state, writeState } = guard;
        expect(state.epoch).toBeGreaterThanOrEqual(before.epoch);
        // An epoch becomes active only by promote, and then exactly one higher than the standby was.
        if (state.role === 'active' && before.role === 'standby') {
          expect([made.do, state.epoch]).toEqual(['promote', before.epoch + 1]);
        }
        if (before.sealedBy !== undefined && writeState === 'open') {
          expect(['unseal', 'promote']).toContain(made.do);
          if (made.do === 'unseal') expect(made.op).toBe(before.sealedBy);
        }
        if (was === 'deposed') expect(['deposed', 'standby']).toContain(writeState);
        if (writeState === 'open' && was === 'closed') expect(made.do).toMatch(/open|unseal/);
        for (const asked of [state.epoch - 1, state.epoch, state.epoch + 1]) {
          const isOwn = asked === state.epoch;
          expect(passes(() => guard.check('local', asked))).toBe(isOwn && writeState === 'open');
          expect(passes(() => guard.check('link', asked))).toBe(isOwn && state.role === 'standby');
        }
      }
    },
  );
  try {
    await fc.assert(property, { numRuns: 150, interruptAfterTimeLimit: 8_000 });
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});
