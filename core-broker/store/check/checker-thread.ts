// Entry of the thread that checks link bytes: steps while there is something to check and sleeps on the
// shared memory otherwise. It ends by itself when it is told to.
// Invariant: the turn is read before the step and before the look at the end, so nothing that happens
// during the step is slept over, and no end that came just before it.
import { workerData } from 'node:worker_threads';
import { type CheckSetup, DigestRing } from './digest-ring.ts';
import { LogFollower } from './log-follower.ts';

const setup = workerData as CheckSetup;
const ring = new DigestRing(setup.memory);
const follower = new LogFollower(ring, setup);
for (;;) {
  const turn = ring.turn();
  if (ring.isStopped) break;
  if (follower.step() !== 'moved') ring.sleep(turn);
}
follower.close();
