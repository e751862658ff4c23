// Entry of the thread that checks link bytes: steps while there is something to check and sleeps on the
// shared memory otherwise. It ends by itself when it is told to.
import { workerData } from 'node:worker_threads';
import { type CheckSetup, DigestRing } from './digest-ring.ts';
import { LogFollower } from './log-follower.ts';

const setup = workerData as CheckSetup;
const ring = new DigestRing(setup.memory);
const follower = new LogFollower(ring, setup);
ring.stepUntilStopped(() => follower.step() === 'moved');
follower.close();
