// When received bytes are announced to the checker: the policy alone, with a clock and timers of the test.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HoldBack, LOOK_MS } from '../../../core-broker/store/check/hold-back.ts';

const MIB = 1024 * 1024;
const FAR = 64 * MIB;
const HELD_MAX = 100 * MIB;
/** More than this within one look is full speed. */
const FAST = 200_000 * LOOK_MS;

let announced: number[] = [];
let isAwaited = false;
let end = 0;
let hold: HoldBack;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  announced = [];
  isAwaited = false;
  end = 0;
  hold = new HoldBack({
    announce: (to) => announced.push(to),
    isAwaited: () => isAwaited,
    nowMs: () => performance.now(),
  });
  hold.begin(0);
});
afterEach(() => {
  expect(hold.held > 0 && vi.getTimerCount() === 0).toBe(false);
  vi.useRealTimers();
});

function take(bytes: number): void {
  end += bytes;
  hold.take(end);
}

/** A stream at full speed that comes to be held back. */
function startHolding(): void {
  hold.sourceHas(10_000 * MIB, HELD_MAX);
  take(FAST);
  vi.advanceTimersByTime(LOOK_MS);
  take(MIB);
  expect(hold.held).toBe(MIB);
}

test('nothing known of the source: each range is announced at once', () => {
  for (let i = 0; i < 20; i++) {
    take(FAST);
    expect(announced.at(-1)).toBe(end);
    vi.advanceTimersByTime(LOOK_MS);
  }
  expect(hold.held).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('a small lag: each range is announced at once, however fast it comes', () => {
  for (let i = 0; i < 20; i++) {
    hold.sourceHas(end + FAST + FAR - 1, HELD_MAX);
    take(FAST);
    expect(announced.at(-1)).toBe(end);
    vi.advanceTimersByTime(LOOK_MS);
  }
});

test('far behind but slow: each range is announced at once', () => {
  hold.sourceHas(10_000 * MIB, HELD_MAX);
  for (let i = 0; i < 20; i++) {
    take(FAST / 2);
    expect(announced.at(-1)).toBe(end);
    vi.advanceTimersByTime(LOOK_MS);
  }
});

test('far behind at full speed: held back, up to the bound and no further', () => {
  startHolding();
  const before = announced.length;
  for (let i = 0; i < 200; i++) {
    take(MIB);
    expect(hold.held).toBeLessThan(HELD_MAX + 5 * MIB);
    if (i % 5 === 0) vi.advanceTimersByTime(4);
  }
  expect(hold.held).toBeGreaterThanOrEqual(HELD_MAX);
  expect(announced.at(-1)).toBe(end - hold.held);
  // In steps, not with each piece.
  expect(announced.length - before).toBeLessThan(30);
});

test('the stream pauses: everything is announced, and no timer stays', () => {
  startHolding();
  vi.advanceTimersByTime(2 * LOOK_MS);
  expect(announced.at(-1)).toBe(end);
  vi.advanceTimersByTime(LOOK_MS);
  expect(vi.getTimerCount()).toBe(0);
});

test('the stream slows down: everything is announced', () => {
  startHolding();
  vi.advanceTimersByTime(LOOK_MS);
  for (let i = 0; i < 3; i++) {
    take(MIB);
    vi.advanceTimersByTime(LOOK_MS);
  }
  expect(hold.held).toBe(0);
});

test('near the end of the source: everything is announced with the range that comes near', () => {
  startHolding();
  hold.sourceHas(end + FAR + MIB, HELD_MAX);
  take(MIB);
  expect(hold.held).toBeGreaterThan(0);
  take(1);
  expect(announced.at(-1)).toBe(end);
});

test('the source is found to end near here: announced without another byte', () => {
  startHolding();
  hold.sourceHas(end + FAR - 1, HELD_MAX);
  expect(announced.at(-1)).toBe(end);
});

test('who asks gets all of it at once, and nothing is held while somebody waits', () => {
  startHolding();
  isAwaited = true;
  hold.release();
  expect(announced.at(-1)).toBe(end);
  for (let i = 0; i < 5; i++) {
    take(FAST);
    expect(announced.at(-1)).toBe(end);
    vi.advanceTimersByTime(LOOK_MS);
  }
  isAwaited = false;
  take(FAST);
  vi.advanceTimersByTime(LOOK_MS);
  take(MIB);
  vi.advanceTimersByTime(LOOK_MS - 1);
  expect(hold.held).toBe(MIB);
});

test('what was dropped is never announced', () => {
  startHolding();
  const before = announced.length;
  hold.drop();
  vi.advanceTimersByTime(4 * LOOK_MS);
  hold.release();
  expect(announced.length).toBe(before);
  expect(vi.getTimerCount()).toBe(0);
});
