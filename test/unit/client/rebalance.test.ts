import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocateAverage, queueKey } from '../../../core-broker/client/index.ts';

const queues = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    topic: 'orders',
    brokerName: i % 2 === 0 ? 'b' : 'a',
    queueId: Math.floor(i / 2),
  }));

describe('AVG rebalance', () => {
  test('shares are disjoint, cover every queue and differ by at most one', () => {
    const ids = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 40 }), (members, count) => {
        const all = queues(count);
        const shares = members.map((id) => allocateAverage(id, members, all));
        const keys = shares.flat().map(queueKey);
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys.length).toBe(count);
        const sizes = shares.map((share) => share.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('as Java: 8 queues over 3 members are 3, 3, 2 in order', () => {
    const all = Array.from({ length: 8 }, (_, queueId) => ({
      topic: 't',
      brokerName: 'b',
      queueId,
    }));
    const share = (id: string) => allocateAverage(id, ['c', 'a', 'b'], all).map((q) => q.queueId);
    expect([share('a'), share('b'), share('c')]).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ]);
  });

  test('ids are ordered by UTF-16 units, as Java orders them', () => {
    const all = queues(2);
    const first = allocateAverage('B', ['a', 'B'], all)[0];
    expect(first?.brokerName).toBe('a');
  });

  test('a member the broker does not list gets nothing', () => {
    expect(allocateAverage('x', ['a', 'b'], queues(4))).toEqual([]);
  });
});
