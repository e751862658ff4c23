import { describe, expect, test } from 'vitest';
import {
  LINK_TRANSITIONS,
  type LinkEvent,
  type LinkState,
  linkTransition,
} from '../../../replicator/index.ts';

const STATES: LinkState[] = [
  'stopped',
  'connecting',
  'catching-up',
  'following',
  'halted',
  'failed',
];
const EVENTS: LinkEvent[] = [
  'start',
  'attached',
  'level',
  'behind',
  'lost',
  'fail',
  'halt',
  'resume',
  'stop',
];

describe('link states', () => {
  test('no state has two answers to one event, and every row says why', () => {
    const keys = LINK_TRANSITIONS.map((row) => `${row.from} ${row.on}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const row of LINK_TRANSITIONS) expect(row.why.length).toBeGreaterThan(5);
  });

  test('only resume leads out of a halt into copying', () => {
    const ways = EVENTS.filter((on) => {
      const to = linkTransition('halted', on)?.to;
      return to !== undefined && to !== 'stopped';
    });
    expect(ways).toEqual(['resume']);
  });

  test('a failed link copies no more by itself', () => {
    for (const on of EVENTS) {
      const to = linkTransition('failed', on)?.to;
      expect(['halted', 'stopped', undefined]).toContain(to);
    }
  });

  test('every running state can halt, fail and stop', () => {
    for (const from of ['connecting', 'catching-up', 'following'] as const) {
      expect(linkTransition(from, 'halt')?.to).toBe('halted');
      expect(linkTransition(from, 'fail')?.to).toBe('failed');
      expect(linkTransition(from, 'stop')?.to).toBe('stopped');
    }
  });

  test('every state can be reached from stopped', () => {
    const seen = new Set<LinkState>(['stopped']);
    for (let i = 0; i < STATES.length; i++) {
      for (const row of LINK_TRANSITIONS) if (seen.has(row.from)) seen.add(row.to);
    }
    expect([...seen].sort()).toEqual([...STATES].sort());
  });
});
