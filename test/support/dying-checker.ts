// A checking thread that does one step of its first order and dies: what a crash of the real one looks like.
import { workerData } from 'node:worker_threads';
import { type CheckSetup, DigestRing } from '../../core-broker/store/check/digest-ring.ts';
import { LogFollower } from '../../core-broker/store/check/log-follower.ts';

const setup = workerData as CheckSetup;
const ring = new DigestRing(setup.memory);
const follower = new LogFollower(ring, setup);
for (let turn = ring.turn(); (ring.currentOrder()?.number ?? 0) === 0; turn = ring.turn()) {
  ring.sleep(turn);
}
follower.step();
throw new Error('killed by the test');
