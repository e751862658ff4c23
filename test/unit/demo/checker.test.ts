// The judge must see each kind of broken promise; every case here differs from the good run by one line.
import { expect, test } from 'vitest';
import { judge } from '../../../cli/demo/checker.ts';
import type { HistoryLine } from '../../../cli/demo/history.ts';

const queue = 'broker-a:0';
const send = (n: number, phase: 'invoke' | 'ok' | 'unknown', t = n): HistoryLine => ({
  t,
  op: 'send',
  phase,
  key: `p-${n}`,
  ...(phase === 'ok' ? { queue, offset: n } : {}),
});
const read = (op: 'consume' | 'audit', n: number, offset = n): HistoryLine => ({
  t: n,
  op,
  key: `p-${n}`,
  queue,
  offset,
});
const numbers = [0, 1, 2, 3, 4];
const sends = numbers.flatMap((n) => [send(n, 'invoke'), send(n, 'ok')]);
const good = [
  ...sends,
  ...numbers.map((n) => read('consume', n)),
  ...numbers.map((n) => read('audit', n)),
];

test('a good run is clean', () => {
  expect(judge(good)).toMatchObject({
    acknowledged: 5,
    consumed: 5,
    unknown: 0,
    lost: 0,
    undelivered: 0,
    duplicated: 0,
    redelivered: 0,
    outOfOrder: 0,
  });
});

test('an acknowledged record missing from the log is lost, even when it was consumed before', () => {
  const verdict = judge(good.filter((line) => !(line.op === 'audit' && line.key === 'p-2')));
  expect(verdict).toMatchObject({ lost: 1, lostKeys: ['p-2'], lostByQueue: { [queue]: 1 } });
});

test('a record that nobody consumed is undelivered', () => {
  const verdict = judge(good.filter((line) => !(line.op === 'consume' && line.key === 'p-4')));
  expect(verdict).toMatchObject({ lost: 0, undelivered: 1, undeliveredKeys: ['p-4'] });
});

test('a key at two log positions is duplicated, two deliveries of one position are redelivered', () => {
  expect(judge([...good, read('audit', 3, 9)]).duplicated).toBe(1);
  expect(judge([...good, read('consume', 3)]).redelivered).toBe(1);
});

test('a first delivery behind a later one is out of order', () => {
  const swapped = [
    ...sends,
    ...[0, 2, 1, 3, 4].map((n) => read('consume', n)),
    ...numbers.map((n) => read('audit', n)),
  ];
  expect(judge(swapped).outOfOrder).toBe(1);
});

test('an invoked send without an answer is unknown, not acknowledged', () => {
  const verdict = judge([...good, send(5, 'invoke'), send(6, 'invoke'), send(6, 'unknown')]);
  expect(verdict).toMatchObject({ acknowledged: 5, unknown: 2, lost: 0 });
});

test('the longest gap is counted per producer', () => {
  const late = [...good, send(5, 'invoke', 1000), send(5, 'ok', 1004), read('audit', 5)];
  expect(judge(late).longestGapMs).toBe(1000);
});

test("a doubled key of a producer that sent once is the broker's fault", () => {
  const once = good.map((line) => (line.phase === 'ok' ? { ...line, attempts: 1 } : line));
  expect(judge([...once, read('audit', 3, 9)]).duplicatedByBroker).toBe(1);
  const twice = once.map((line) => (line.key === 'p-3' ? { ...line, attempts: 2 } : line));
  expect(judge([...twice, read('audit', 3, 9)]).duplicatedByBroker).toBe(0);
});

test('what was acknowledged before the unknown time must be counted by a statement', () => {
  const lost = good.filter((line) => !(line.op === 'audit' && line.key === 'p-2'));
  expect(judge(lost, 3).lostBeforeByQueue).toEqual({ [queue]: 1 });
  expect(judge(lost, 2).lostBeforeByQueue).toEqual({});
});
