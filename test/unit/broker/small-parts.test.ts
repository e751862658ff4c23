// Delay levels, rate windows, held pulls, error mapping.
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { OPEN_ADMISSION } from '../../../core-broker/broker/admission.ts';
import {
  type HeldPull,
  HeldPulls,
  type PullRequest,
  PullTurns,
} from '../../../core-broker/broker/pull/index.ts';
import { refusalOf, refuse } from '../../../core-broker/broker/response-codes.ts';
import { clampLevel, parseDelayLevels } from '../../../core-broker/broker/schedule/index.ts';
import { PutTimes, StatsItem, Throughput } from '../../../core-broker/broker/stats/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';

test('delay levels are parsed with their units', () => {
  expect(parseDelayLevels('1s 5m 2h 1d')).toEqual([1_000, 300_000, 7_200_000, 86_400_000]);
  expect(() => parseDelayLevels('1s 5x')).toThrow(/5x/);
  expect(clampLevel(40, [1, 2, 3])).toBe(3);
});

test('a window is what lies between its oldest and its newest snapshot', () => {
  const item = new StatsItem();
  expect(item.figures('minute')).toEqual({ avgpt: 0, sum: 0, tps: 0 });
  item.add(50, 5);
  expect(item.figures('minute').sum).toBe(0);
  item.sample('minute', 10_000);
  item.sample('hour', 10_000);
  expect(item.figures('minute')).toEqual({ avgpt: 10, sum: 50, tps: 5 });
  for (let atMs = 20_000; atMs <= 70_000; atMs += 10_000) item.sample('minute', atMs);
  expect(item.figures('minute').sum).toBe(0);
  expect(item.figures('hour')).toEqual({ avgpt: 10, sum: 50, tps: 50 / 600 });
});

test('rates look back 10, 60 and 600 seconds', () => {
  const rates = new Throughput();
  const totals = { putTotal: 0, getFoundTimes: 0, getMissTotal: 0, getTotal: 0 };
  expect(rates.text('putTotal')).toBe('0.0 0.0 0.0');
  for (let second = 0; second <= 700; second++) {
    if (second > 690) totals.putTotal += 100;
    rates.note(totals, second * 1_000);
  }
  expect(rates.perSecond('putTotal', 10)).toBe(100);
  expect(rates.perSecond('putTotal', 600)).toBeCloseTo(1_000 / 600);
  expect(rates.text('putTotal').split(' ')).toHaveLength(3);
});

test('put times tell a quantile of the minute before', () => {
  const times = new PutTimes();
  for (let i = 0; i < 99; i++) times.observe(0.5);
  times.observe(70);
  expect(times.quantileMs(0.99)).toBe(0);
  times.turn();
  expect(times.quantileMs(0.5)).toBeLessThan(1);
  expect(times.quantileMs(0.999)).toBeGreaterThan(50);
  expect(times.maxMs).toBe(70);
  expect(times.text()).toContain('[50~100ms]:1 ');
});

describe('held pulls', () => {
  const nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const pull = (offset: number, tagCodes?: Set<number>): HeldPull => ({
    connection: { isOpen: true, output: { unsentBytes: 0 } } as ServerConnection,
    request: { topic: 'T', queueId: 0 } as PullRequest,
    offset,
    tagCodes,
    deadlineMs: 1_000,
  });
  const settled = () => new Promise<void>((resolve) => queueMicrotask(() => resolve()));
  const heldPulls = (onAnswer: (offset: number) => void, time = clock) =>
    new HeldPulls(
      time,
      new PullTurns({
        clock: time,
        afterWrites: setImmediate,
        logEnd: () => 0,
        answer: ({ offset }) => {
          onAnswer(offset);
          return 0;
        },
      }),
    );

  test('an arrival wakes those it can satisfy, once per round', async () => {
    const woken: number[] = [];
    const held = heldPulls((offset) => woken.push(offset));
    held.hold(pull(5));
    held.hold(pull(9));
    held.hold(pull(5, new Set([77])));
    held.onArrival({ topic: 'T', queueId: 0 }, 6, 1);
    held.onArrival({ topic: 'T', queueId: 1 }, 60, 77);
    held.onArrival({ topic: 'U', queueId: 0 }, 60, 77);
    expect(woken).toEqual([]);
    await settled();
    expect(woken).toEqual([5]);
    held.onArrival({ topic: 'T', queueId: 0 }, 7, 77);
    await settled();
    expect(woken).toEqual([5, 5]);
    expect(held.held).toBe(1);
  });

  test('many that wake at once share turns of the loop, in order; answerAll waits for none', async () => {
    const woken: number[] = [];
    const slow = { ...clock, monotonicMs: () => woken.length * 10 };
    const held = heldPulls((offset) => woken.push(offset), slow);
    const wake = () => {
      for (const offset of [1, 2, 3]) held.hold(pull(offset));
      held.onArrival({ topic: 'T', queueId: 0 }, 9, 1);
    };
    wake();
    await settled();
    expect(woken).toEqual([1]);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toEqual([1, 2, 3]);
    woken.length = 0;
    wake();
    await settled();
    held.answerAll();
    expect(woken).toEqual([1, 2, 3]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toHaveLength(3);
  });

  test('answerAll leaves nobody waiting and answers each once', async () => {
    const woken: number[] = [];
    const held = heldPulls((offset) => woken.push(offset));
    held.hold(pull(1));
    held.hold(pull(2));
    held.answerAll();
    await settled();
    held.answerAll();
    expect(woken.sort()).toEqual([1, 2]);
    expect(held.held).toBe(0);
  });

  test('a closed connection is not answered', async () => {
    const woken: number[] = [];
    const held = heldPulls((offset) => woken.push(offset));
    const gone = pull(1);
    held.hold(gone);
    (gone.connection as { isOpen: boolean }).isOpen = false;
    held.answerAll();
    await settled();
    expect(woken).toEqual([]);
  });
});

describe('errors as response codes', () => {
  const closed = {
    ...OPEN_ADMISSION,
    state: 'refused' as const,
    refusal: () => ({ code: 16, remark: 'fenced at epoch 2, active region B' }),
  };

  test.each([
    ['BUSY', 2],
    ['DISK_FULL', 14],
    ['NOT_MASTER', 14],
    ['FENCED', 16],
    ['USAGE', 13],
    ['CORRUPT', 1],
    ['UNEXPECTED', 1],
  ] as const)('%s is %i', (code, expected) => {
    expect(refusalOf(new DrError(code, 'x'), OPEN_ADMISSION).code).toBe(expected);
  });

  test('a closed region answers in its own words, whatever path met the guard', () => {
    expect(refusalOf(new DrError('FENCED', 'guard'), closed).remark).toMatch(/active region B/);
    expect(refusalOf(new DrError('DISK_FULL', 'x'), closed).code).toBe(14);
  });

  test('a chosen code wins', () => {
    let thrown: unknown;
    try {
      refuse(17, 'no topic');
    } catch (reason) {
      thrown = reason;
    }
    expect(refusalOf(thrown, closed)).toEqual({ code: 17, remark: 'no topic' });
  });
});
