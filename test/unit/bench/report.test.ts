// A bench that judges wrongly would let a slow release pass: verdicts, ranks and the JSON form.
import { expect, test } from 'vitest';
import { type Figure, median, quantile, reportJson, verdictOf } from '../../bench/report.ts';

const figure = (values: number[], more: Partial<Figure> = {}): Figure => ({
  name: 'a ratio',
  unit: 'ratio',
  values,
  goal: { floor: 0.5, aim: 0.8 },
  ...more,
});

test('median and quantile are values of the rounds', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([5, 1, 4, 2, 3], 0.95)).toBe(5);
  expect(
    quantile(
      Array.from({ length: 20 }, (_, i) => i + 1),
      0.95,
    ),
  ).toBe(19);
  expect(quantile([2, 1], 0)).toBe(1);
});

test('a figure is judged by its median, or by what it says', () => {
  expect(verdictOf(figure([0.1, 0.9, 0.9]))).toBe('aim');
  expect(verdictOf(figure([0.9, 0.6, 0.1]))).toBe('floor');
  expect(verdictOf(figure([0.4, 0.49, 0.9]))).toBe('missed');
  const pause = { goal: { floor: 1000, isLess: true }, judged: 'p95' as const };
  expect(verdictOf(figure([200, 300, 1500], pause))).toBe('missed');
  expect(verdictOf(figure([200, 300, 999], pause))).toBe('aim');
  expect(verdictOf(figure([], {}))).toBe('missed');
});

test('the report says whether every floor held, with all rounds', () => {
  const facts = { bench: 'x', startedAt: '', machine: {}, seconds: 1 };
  const held = reportJson(facts, { figures: [figure([0.6, 0.7, 0.9])] });
  expect(held).toMatchObject({
    isHeld: true,
    figures: [{ min: 0.6, median: 0.7, max: 0.9, floor: 0.5, verdict: 'floor', rounds: 3 }],
  });
  const missed = reportJson(facts, { figures: [figure([0.9]), figure([0.2])] });
  expect(missed['isHeld']).toBe(false);
});
