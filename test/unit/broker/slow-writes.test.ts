// When bytes count as waiting too long for the system: by what was seen, never by a clock that stood still.
import { beforeEach, describe, expect, test } from 'vitest';
import { SlowWrites } from '../../../core-broker/broker/gates/index.ts';

let nowMs = 0;
let ends = { writtenOffset: 0, maxOffset: 0 };
let told: boolean[] = [];
let watch: SlowWrites;

beforeEach(() => {
  nowMs = 1_000;
  ends = { writtenOffset: 0, maxOffset: 0 };
  told = [];
  watch = new SlowWrites({
    ends: () => ends,
    limitMs: () => 1_000,
    nowMs: () => nowMs,
    onChange: (isBusy) => told.push(isBusy),
  });
  watch.start();
  watch.stop();
});

/** Looks every 100 ms for `ms`. */
function pass(ms: number): void {
  for (let left = ms; left > 0; left -= 100) {
    nowMs += 100;
    watch.look();
  }
}

describe('waiting bytes', () => {
  test('younger than the limit, or none, are nothing', () => {
    pass(5_000);
    ends = { writtenOffset: 0, maxOffset: 10 };
    pass(900);
    ends = { writtenOffset: 10, maxOffset: 10 };
    pass(5_000);
    expect(told).toEqual([]);
  });

  test('older than the limit close the door, their write opens it', () => {
    ends = { writtenOffset: 0, maxOffset: 10 };
    pass(1_300);
    expect(told).toEqual([true]);
    ends = { writtenOffset: 10, maxOffset: 10 };
    pass(100);
    expect(told).toEqual([true, false]);
  });

  test('a disk that is always behind but moves is not stuck', () => {
    for (let end = 10; end < 5_000; end += 10) {
      ends = { writtenOffset: end - 10, maxOffset: end };
      pass(500);
    }
    expect(told).toEqual([]);
  });

  test('the time that this process stood still does not count', () => {
    ends = { writtenOffset: 0, maxOffset: 10 };
    pass(200);
    nowMs += 60_000;
    watch.look();
    expect(told).toEqual([]);
    pass(1_200);
    expect(told).toEqual([true]);
  });

  test('a log that was cut begins anew', () => {
    ends = { writtenOffset: 0, maxOffset: 10 };
    pass(1_300);
    ends = { writtenOffset: 5, maxOffset: 5 };
    pass(100);
    expect(told).toEqual([true, false]);
  });
});
