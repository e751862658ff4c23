// The plan table as a whole: every reachable pair of phase and event has one row, no row undoes after
// the promotion or opens a second region before it, and decide() finds a row for every view.
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import type { DrStatus } from '../../../core-broker/protocol/index.ts';
import {
  foldProgress,
  NO_PROGRESS,
  type OperationKind,
  type StepName,
} from '../../../switchover/journal.ts';
import { type ClusterView, phaseOf } from '../../../switchover/phase.ts';
import { decide, happyPath, type Intent, mermaid } from '../../../switchover/plan.ts';
import { FINAL_PHASES, PLAN } from '../../../switchover/plan-table.ts';
import { RegionModel } from '../../support/region-model.ts';

const AFTER_PROMOTION = ['promoted', 'flipped', 'relaying', 'verified', 'reversed'];
const BEFORE_PROMOTION = PLAN.map(({ from }) => from).filter(
  (phase) => !AFTER_PROMOTION.includes(phase),
);

describe('the table', () => {
  test('has one row per mode, phase and event', () => {
    const keys = PLAN.map(({ mode, from, on }) => `${mode} ${from} ${on}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('says why in every row', () => {
    for (const row of PLAN) expect(row.why.length).toBeGreaterThan(15);
  });

  test('never undoes after the promotion', () => {
    const undone = PLAN.filter(
      ({ from, action }) => AFTER_PROMOTION.includes(from) && action === 'roll-back',
    );
    expect(undone).toEqual([]);
  });

  test('reaches a promoted phase only through the promote action', () => {
    for (const row of PLAN) {
      const isEntry = BEFORE_PROMOTION.includes(row.from) && AFTER_PROMOTION.includes(row.to);
      if (isEntry) expect(row.action).toBe('promote');
    }
  });

  test('flips, relays and reverses only after the promotion', () => {
    for (const row of PLAN) {
      if (!['flip', 'relay', 'canary', 'reverse'].includes(row.action)) continue;
      expect(AFTER_PROMOTION).toContain(row.from);
    }
  });

  test('a planned promotion comes after seal, drain, halt and final sync, in this order', () => {
    expect(happyPath('planned').map(({ action }) => action)).toEqual([
      'begin',
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
      'finish',
    ]);
  });

  test('a forced promotion comes after cut-off, halt and a journaled statement', () => {
    expect(happyPath('failover').map(({ action }) => action)).toEqual([
      'begin',
      'cut-off',
      'halt',
      'assess',
      'promote',
      'flip',
      'relay',
      'canary',
      'finish',
    ]);
  });

  test('every phase that is not final has a way out, and every target phase exists', () => {
    for (const row of PLAN) {
      if (FINAL_PHASES.has(row.to)) continue;
      const modes = row.mode === 'abort' ? ['abort'] : [row.mode];
      for (const mode of modes) {
        expect(PLAN.some((next) => next.mode === mode && next.from === row.to)).toBe(true);
      }
    }
  });

  test('abort undoes each phase of the decided table and refuses after the promotion', () => {
    const aborts = new Map(
      PLAN.filter(({ mode, on }) => mode === 'abort' && on === 'ok').map((r) => [r.from, r.to]),
    );
    for (const phase of [
      'catching-up',
      'level',
      'fenced',
      'sealed',
      'drained',
      'halted',
      'synced',
    ]) {
      expect(aborts.get(phase as never)).toBe('rolled-back');
    }
    for (const phase of AFTER_PROMOTION) expect(aborts.get(phase as never)).toBe('refused');
  });

  test('prints as a state diagram with every phase', () => {
    const text = mermaid('planned');
    expect(text.startsWith('stateDiagram-v2')).toBe(true);
    for (const row of PLAN.filter(({ mode }) => mode === 'planned')) {
      expect(text).toContain(row.from.replaceAll('-', '_'));
    }
  });
});

const OPERATION = {
  opId: 'switchover-1',
  kind: 'planned' as OperationKind,
  from: 'east',
  to: 'west',
  fromEpoch: 1,
  maxWritePauseMs: 2_000,
  reverseLink: true,
  startedAtMs: 0,
  endedAtMs: undefined,
  outcome: undefined,
  isRebuilt: false,
};

/** Statuses a broker of the old and of the new side can show, whatever happened before. */
function sourceStatuses(base: DrStatus): (DrStatus | undefined)[] {
  const { opId } = OPERATION;
  return [
    undefined,
    base,
    { ...base, writeState: 'fenced', opId },
    { ...base, writeState: 'sealed', opId },
    { ...base, writeState: 'sealed', opId: 'another' },
    { ...base, writeState: 'deposed', activeEpoch: 2, activeRegion: 'west' },
    { ...base, writeState: 'deposed', activeEpoch: 3, activeRegion: 'north' },
    { ...base, writeState: 'closed' },
    { ...base, role: 'standby', writeState: 'standby', epoch: 2 },
  ];
}

function targetStatuses(base: DrStatus): (DrStatus | undefined)[] {
  const { opId } = OPERATION;
  const link = base.link;
  if (!link) throw new Error('the model gives a standby a link');
  return [
    undefined,
    base,
    { ...base, link: { ...link, lagBytes: 1e12 } },
    { ...base, link: { ...link, state: 'failed' } },
    { ...base, link: { ...link, state: 'halted', haltedBy: opId } },
    { ...base, link: { ...link, state: 'halted', haltedBy: 'another' } },
    { ...base, role: 'active', writeState: 'open', epoch: 2, opId, link: undefined },
    { ...base, role: 'active', writeState: 'open', epoch: 2, opId: 'another', link: undefined },
    { ...base, role: 'active', writeState: 'open', epoch: 3, opId, link: undefined },
    { ...base, epoch: 2 },
    { ...base, maxOffset: base.maxOffset + 100 },
  ];
}

const RUNS: Record<OperationKind, StepName[][]> = {
  planned: [
    ['catch-up', 'fence', 'seal', 'drain', 'halt', 'final-sync', 'promote', 'flip', 'relay'],
    ['promote', 'flip', 'relay', 'canary', 'reverse'],
    ['catch-up', 'fence', 'seal', 'roll-back'],
    ['catch-up', 'fence', 'seal', 'drain', 'halt', 'final-sync', 'promote', 'roll-back'],
  ],
  failover: [
    ['cut-off', 'halt', 'assess', 'promote', 'flip', 'relay', 'canary'],
    ['cut-off', 'halt', 'assess', 'promote', 'roll-back'],
  ],
};
const prefixesOf = (kind: OperationKind): StepName[][] => [
  [],
  ...RUNS[kind].flatMap((steps) => steps.map((_, n) => steps.slice(0, n + 1))),
];

const failures = [undefined, new DrError('TIMEOUT', 't'), new DrError('VERIFY_FAILED', 'v')];

function* views(): Generator<ClusterView> {
  const world = new RegionModel();
  world.advance(50);
  const source = world.broker('east').status();
  const target = world.broker('west').status();
  const token = world.broker('east').token();
  const base = {
    nowMs: 100,
    from: 'east',
    to: 'west',
    unpaired: [],
    flips: [],
    topicMismatches: [],
    fenceLagBytes: 1_000,
  };
  for (const a of sourceStatuses(source)) {
    for (const b of targetStatuses(target)) {
      for (const kind of ['planned', 'failover'] as const) {
        for (const prefix of prefixesOf(kind)) {
          for (const lastStage of ['before', 'after', 'failed'] as const) {
            for (const isRebuilt of [false, true]) {
              const records = prefix.map((step, n) => ({
                opId: OPERATION.opId,
                step,
                stage: n === prefix.length - 1 ? lastStage : ('after' as const),
                atMs: n,
                facts: step === 'seal' ? { tokens: { a: token } } : {},
              }));
              const operation = { ...OPERATION, kind, isRebuilt };
              const pairs = [{ brokerName: 'a', source: a, target: b }];
              yield { ...base, pairs, operation, progress: foldProgress(records) };
            }
          }
        }
      }
    }
  }
}

describe('decide', () => {
  const intents: Intent[] = (['switchover', 'failover', 'resume', 'abort'] as const).flatMap(
    (verb) =>
      failures.flatMap((failure) =>
        [undefined, 50].map((deadlineMs) => ({
          verb,
          acceptDataLoss: true,
          isClear: true,
          deadlineMs,
          failure,
          hasProblems: failure !== undefined,
        })),
      ),
  );

  test('finds a row for every view and intent, and keeps the safety rules in each', () => {
    let seen = 0;
    const phases = new Set<string>();
    for (const view of views()) {
      for (const intent of intents) {
        const { row, phase } = decide(view, intent);
        phases.add(phase);
        checkSafety(view, row.action);
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(100_000);
    const unseen = new Set<string>(PLAN.map(({ from }) => from));
    for (const phase of phases) unseen.delete(phase);
    expect([...unseen]).toEqual(['idle']);
  });

  test('without an operation: begin, refuse, or say what would be lost', () => {
    const world = new RegionModel();
    const pairs = [
      {
        brokerName: 'a',
        source: world.broker('east').status(),
        target: world.broker('west').status(),
      },
    ];
    const idle: ClusterView = {
      nowMs: 0,
      from: 'east',
      to: 'west',
      pairs,
      unpaired: [],
      flips: [],
      topicMismatches: [],
      operation: undefined,
      progress: NO_PROGRESS,
      fenceLagBytes: 0,
    };
    expect(phaseOf(idle)).toBe('idle');
    const base = { deadlineMs: undefined, failure: undefined, hasProblems: false };
    const ask = (verb: Intent['verb'], isClear: boolean, acceptDataLoss: boolean) =>
      decide(idle, { ...base, verb, isClear, acceptDataLoss }).row.action;
    expect(ask('switchover', true, false)).toBe('begin');
    expect(ask('switchover', false, false)).toBe('stop');
    expect(ask('failover', true, false)).toBe('stop');
    expect(ask('failover', true, true)).toBe('begin');
    expect(ask('failover', false, true)).toBe('stop');
    expect(ask('abort', true, true)).toBe('stop');
  });
});

/** What may never be chosen, whatever the view. Plain throws: this runs some hundred thousand times. */
function checkSafety(view: ClusterView, action: string): void {
  const [pair] = view.pairs;
  const { begun, done } = view.progress;
  const isPromoted = pair?.target?.role === 'active' && pair.target.epoch === 2;
  const never = (isBroken: boolean, rule: string) => {
    if (isBroken) throw new Error(`${action}: ${rule}: ${JSON.stringify(view)}`);
  };
  if (action === 'roll-back') {
    never(isPromoted, 'the old side may open only when the standby is not promoted');
    never(begun.has('promote') && !pair?.target, 'and only when the standby was asked');
  }
  if (action === 'promote' && view.operation?.kind === 'planned' && !isPromoted) {
    const isSealed = pair?.source === undefined || pair.source.writeState === 'sealed';
    never(!isSealed, 'the old side must be sealed');
    never(!done.has('final-sync') && !begun.has('promote'), 'offsets must be final');
  }
  if (['flip', 'relay', 'canary', 'reverse', 'finish'].includes(action)) {
    never(!isPromoted && !done.has('promote'), 'only after the promotion');
  }
}
