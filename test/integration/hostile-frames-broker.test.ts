// A million mutated frames, this file's share of them against every handler of the broker. What must
// hold: no exception that is none of ours, answers that a client can read or a closed connection, nothing
// that hangs, other connections served all along, memory that does not grow with the frames, no file
// outside of the store. Findings name seed and case: node test/support/fuzz/replay.ts broker SEED CASE.
import { expect, test } from 'vitest';
import { playFrames } from '../support/fuzz/play.ts';

const RUNS = [
  { kind: 'broker', seed: 3, cases: 600_000, isWriting: false },
  { kind: 'broker', seed: 4, cases: 30_000, isWriting: true },
  { kind: 'dr-broker', seed: 5, cases: 50_000, isWriting: false },
] as const;

test.each(RUNS)('$cases frames of seed $seed', { timeout: 900_000 }, async (run) => {
  const { found, grownMb, strange } = await playFrames(run);
  expect(found).toEqual([]);
  expect(strange).toEqual([]);
  // Tables may hold what hostile names made; frames, connections and answers must be gone.
  expect(grownMb).toBeLessThan(24);
});
