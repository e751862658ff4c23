import { describe, expect, test } from 'vitest';
import { LagKeeper } from '../../../replicator/lag.ts';
import type { SourceSample } from '../../../replicator/source/source-side.ts';

const sample = (change: Partial<SourceSample> = {}): SourceSample => ({
  sampledAtMs: 10_000,
  epoch: 1,
  minOffset: 0,
  maxOffset: 1_000,
  lagMessages: 10,
  oldestUnsharedMs: 9_700,
  sourceNowMs: 10_000,
  queueMaxima: {},
  ...change,
});

describe('lag', () => {
  test('before the first sample nothing is known, and it says so', () => {
    expect(new LagKeeper().lag(500, 1).sampledAtMs).toBe(0);
  });

  test('the three numbers come from one sample and our own end', () => {
    const keeper = new LagKeeper();
    keeper.note(sample(), 500);
    expect(keeper.lag(500, 10_100)).toEqual({
      messages: 10,
      bytes: 500,
      ms: 300,
      sampledAtMs: 10_000,
    });
    expect(keeper.lag(900, 10_100)).toMatchObject({ messages: 2, bytes: 100 });
    expect(keeper.lag(1_000, 10_100)).toMatchObject({ messages: 0, bytes: 0, ms: 0 });
  });

  test('while bytes are missing it never says zero messages', () => {
    const keeper = new LagKeeper();
    keeper.note(sample({ lagMessages: 1 }), 0);
    expect(keeper.lag(999, 10_000).messages).toBe(1);
  });

  test('when samples stop, the age grows even if all known bytes are here', () => {
    const keeper = new LagKeeper();
    keeper.note(sample(), 1_000);
    expect(keeper.lag(1_000, 10_900).ms).toBe(0);
    expect(keeper.lag(1_000, 15_000).ms).toBe(5_000);
    expect(keeper.isFresh(15_000)).toBe(false);
  });

  test('queue maxima of a source that went back are dropped and asked for again in full', () => {
    const keeper = new LagKeeper();
    expect(keeper.queuesSince).toBe(0);
    keeper.note(sample({ queueMaxima: { 'a@0': 5, 'b@0': 9 } }), 0);
    expect(keeper.queuesSince).toBe(1_000);
    keeper.note(sample({ maxOffset: 900, queueMaxima: { 'a@0': 4 } }), 0);
    expect(keeper.queuesSince).toBe(0);
    expect(Object.fromEntries(keeper.queueMaxima)).toEqual({ 'a@0': 4 });
    keeper.note(sample({ maxOffset: 900, queueMaxima: { 'a@0': 4, 'b@0': 8 } }), 0);
    expect(keeper.queuesSince).toBe(900);
  });

  test('maxima of an older epoch count no more, though the log went on', () => {
    const keeper = new LagKeeper();
    keeper.note(sample({ epoch: 1, queueMaxima: { 'a@0': 5, 'b@0': 9 } }), 0);
    keeper.note(sample({ epoch: 2, maxOffset: 2_000, queueMaxima: { 'a@0': 6 } }), 0);
    expect(Object.fromEntries(keeper.queueMaxima)).toEqual({ 'a@0': 6 });
    expect(keeper.queuesSince).toBe(0);
  });
});
