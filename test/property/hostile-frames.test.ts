// Mutated frames against every handler of broker and name server; the million of them is played by
// test/integration/hostile-frames-*.test.ts, here a few thousand of other seeds, and the proof that each
// invariant can fail. A finding names seed and case; `node test/support/fuzz/replay.ts` plays it again.
import { expect, test } from 'vitest';
import type { FrameListener } from '../../core-broker/remoting/index.ts';
import { corpusFor } from '../support/fuzz/corpus.ts';
import { playFrames } from '../support/fuzz/play.ts';
import { fuzz } from '../support/fuzz/run.ts';

test.each([
  { kind: 'nameserver', seed: 101, cases: 4_000 },
  { kind: 'broker', seed: 102, cases: 6_000 },
  { kind: 'dr-broker', seed: 103, cases: 4_000 },
] as const)('$cases frames of seed $seed against the $kind', async (run) => {
  expect(await playFrames({ ...run, isWriting: true })).toMatchObject({ found: [], strange: [] });
});

/** What is found about a listener that treats every frame like this. */
async function judged(onFrame: FrameListener['onFrame'], findings: string[] = []) {
  const close = async () => undefined;
  const world = { listener: { onFrame }, served: new Set<number>(), folder: '', findings, close };
  const corpus = corpusFor('nameserver', new Set());
  return fuzz({ world, corpus, seed: 1, cases: 250, canary: { code: 106 } });
}

test('what goes wrong is found', async () => {
  expect((await judged(() => undefined)).join()).toContain('canary');
  const unreadable = Buffer.from([0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]);
  const garbled = await judged((connection) => connection.write(unreadable));
  expect(garbled.join()).toContain('unreadable answer');
  const findings: string[] = [];
  const thrown = await judged(() => findings.push('TypeError: x'), findings);
  expect(thrown.join()).toContain('seed 1 case 0: TypeError: x');
  const endless = await judged((connection) => {
    connection.unanswered++;
  });
  expect(endless.join()).toContain('requests never ended');
});
