// The loss statement: what is confirmed, what is unknown and since when, and when it is exact.
import { expect, test } from 'vitest';
import type { DrStatus, SealedTailToken, TailReport } from '../../../core-broker/protocol/index.ts';
import {
  makeStatement,
  renderStatement,
  type TailEvidence,
} from '../../../switchover/statement.ts';

const tail: TailReport = {
  validatedEnd: 1_000,
  sampledAtMs: Date.UTC(2026, 10, 21, 3, 0, 0),
  sourceEpoch: 4,
  sourceEnd: 1_700,
  queues: [
    { queue: 'orders@1', standbyMax: 10, sourceMax: 10 },
    { queue: 'orders@0', standbyMax: 10, sourceMax: 14 },
    { queue: '%RETRY%g@0', standbyMax: 0, sourceMax: 2 },
  ],
};
const evidence = (more: Partial<TailEvidence> = {}): TailEvidence => ({
  brokerName: 'broker-a',
  tail,
  old: undefined,
  live: undefined,
  token: undefined,
  ...more,
});
const make = (...brokers: TailEvidence[]) =>
  makeStatement({ from: 'east', to: 'west', nowMs: 1, brokers });
const sealedAt = (logEnd: number) => ({ logEnd }) as SealedTailToken;
const live = (maxOffset: number, queueMaxima: Record<string, number>) => ({
  epoch: 4,
  minOffset: 0,
  maxOffset,
  lagMessages: 0,
  oldestUnsharedMs: 0,
  nowMs: tail.sampledAtMs + 500,
  queueMaxima,
});

test('a dead old side: the sample is confirmed, everything after it is unknown', () => {
  const statement = make(evidence());
  expect(statement).toMatchObject({
    confirmedMissing: 6,
    missingBytes: 700,
    unknownSinceMs: tail.sampledAtMs,
    mayStillAcknowledge: true,
  });
  expect(statement.brokers[0]?.queues.map(({ queue, missing }) => [queue, missing])).toEqual([
    ['%RETRY%g@0', 2],
    ['orders@0', 4],
  ]);
  const text = renderStatement(statement);
  expect(text).toContain('confirmed missing: 6 messages, 700 bytes');
  expect(text).toContain('orders@0: 4 missing (standby ends at 10, old side at 14)');
  expect(text).toContain('unknown: whatever was acknowledged after 2026-11-21T03:00:00.000Z');
  expect(text).toContain('goes on acknowledging until its lease');
});

test('a side that was never sampled: everything is unknown, and it says so', () => {
  const never = { ...tail, sampledAtMs: 0, sourceEnd: 0, queues: [] };
  const statement = make(evidence({ tail: never }), evidence());
  expect(statement.unknownSinceMs).toBe(0);
  expect(statement.missingBytes).toBe(700);
  expect(renderStatement(statement)).toContain('the old side was never sampled');
});

test('a live answer raises what is confirmed, also for a queue the sample never saw', () => {
  const answer = live(2_100, { 'orders@0': 16, 'new@0': 3 });
  const statement = make(evidence({ old: {} as DrStatus, live: answer }));
  expect(statement).toMatchObject({ confirmedMissing: 11, missingBytes: 1_100 });
  expect(statement.unknownSinceMs).toBe(tail.sampledAtMs + 500);
  expect(statement.brokers[0]?.oldSide).toBe('answers');
});

test('exact only when the old side is sealed and was seen at its sealed end', () => {
  const seen = live(2_100, { 'orders@0': 16 });
  const old = {} as DrStatus;
  expect(
    make(evidence({ old, live: seen, token: sealedAt(2_100) })).unknownSinceMs,
  ).toBeUndefined();
  const blind = make(evidence({ old, token: sealedAt(2_100) }));
  expect(blind.unknownSinceMs).toBe(tail.sampledAtMs);
  expect(blind.missingBytes).toBe(1_100);
  const exact = make(evidence({ old, live: seen, token: sealedAt(2_100) }));
  expect(exact.mayStillAcknowledge).toBe(false);
  expect(renderStatement(exact)).toContain('nothing unknown');
});
