// Which facts make the demo fail: each case changes one count of a run that kept every promise.
import { expect, test } from 'vitest';
import { judge } from '../../../cli/demo/checker.ts';
import { brokenPromises, type DemoFacts } from '../../../cli/demo/demo-report.ts';
import type { HistoryLine } from '../../../cli/demo/history.ts';

const line = (op: HistoryLine['op'], n: number): HistoryLine => ({
  t: n,
  op,
  key: `lane0-${n}`,
  queue: 'broker-a:0',
  offset: n,
  ...(op === 'send' ? { phase: 'ok' as const, attempts: 1 } : {}),
});
const run = [0, 1, 2, 3].flatMap((n) => [line('send', n), line('consume', n), line('audit', n)]);

function facts(history: HistoryLine[], change: Partial<DemoFacts> = {}): DemoFacts {
  const statement = { confirmedMissing: 0, unknownSinceMs: 100, brokers: [{ queues: [] }] };
  const speeds = { writePauseMs: 1, rtoMs: 1, rpoMs: 1, linkMBps: 1, backupMBps: 1 };
  const rest = { ...speeds, isRestored: true, dueAfter: ['switch', 'failover'] };
  return { verdict: judge(history, 100), statement, ...rest, ...change };
}

test('a run that kept every promise breaks none', () => {
  expect(brokenPromises(facts(run))).toEqual([]);
});

test('one acknowledged record that is missing from the new log fails the demo', () => {
  const tampered = run.filter((each) => !(each.op === 'audit' && each.key === 'lane0-2'));
  expect(brokenPromises(facts(tampered))).toEqual([
    'queue broker-a:0: 1 lost, the statement said 0',
  ]);
});

test('a loss that the statement counted for that queue is no broken promise', () => {
  const tampered = run.filter((each) => !(each.op === 'audit' && each.key === 'lane0-2'));
  const stated = (queue: string) => ({
    confirmedMissing: 1,
    unknownSinceMs: 100,
    brokers: [{ queues: [{ queue, missing: 1 }] }],
  });
  expect(brokenPromises(facts(tampered, { statement: stated('ORDERS@0') }))).toEqual([]);
  expect(brokenPromises(facts(tampered, { statement: stated('ORDERS@1') }))).toHaveLength(1);
});

test.each([
  ['never delivered', run.filter((each) => !(each.op === 'consume' && each.key === 'lane0-1'))],
  ['doubled without a retry', [...run, { ...line('audit', 1), offset: 9 }]],
  ['nothing acknowledged', run.filter((each) => each.op !== 'send')],
])('%s fails the demo', (_name, history) => {
  expect(brokenPromises(facts(history)).length).toBeGreaterThan(0);
});

test('a backup that was not restored fails the demo', () => {
  expect(brokenPromises(facts(run, { isRestored: false }))).toEqual([
    'the backup was not restored',
  ]);
});
