// The checking thread sleeps on shared memory: what the store tells it in the wrong instant must still
// wake it. The instants are forced here; by luck they come once in thousands of runs.
import { expect, test } from 'vitest';
import { DigestRing } from '../../../core-broker/store/check/digest-ring.ts';

/** Tells something right behind a look at the end, and fails where the thread would never wake. */
class UnluckyRing extends DigestRing {
  behindLook: () => void = () => undefined;
  sleeps = 0;

  override get isStopped(): boolean {
    const was = super.isStopped;
    this.behindLook();
    return was;
  }

  override sleep(seen: number): void {
    this.sleeps++;
    if (seen === this.turn()) throw new Error('sleeps with nobody left to wake it');
  }
}

test('an end told right behind the look at it ends the thread', () => {
  const ring = new UnluckyRing();
  ring.behindLook = () => ring.stop();
  ring.stepUntilStopped(() => false);
  expect(ring.sleeps).toBe(1);
});

test('bytes told of while a step finds nothing are looked at', () => {
  const ring = new UnluckyRing();
  let steps = 0;
  ring.stepUntilStopped(() => {
    steps++;
    if (steps === 1) ring.extend(4096);
    else ring.stop();
    return false;
  });
  expect(steps).toBe(2);
});
