// One run: many mutated frames against one world, in batches on connections of their own, with a canary
// request on another connection after each batch. Says what was found as text with seed and case, so that
// `node test/support/fuzz/replay.ts KIND SEED CASE` shows it again.
import { encodeRequest, type RequestInit } from '../../../core-broker/protocol/index.ts';
import type { Seed } from './corpus.ts';
import { type FakeConnection, fakeConnection } from './fake-connection.ts';
import { mutated } from './mutation.ts';
import { Rng } from './rng.ts';
import type { World } from './world.ts';

const BATCH = 250;
/** Turns of the event loop after which unanswered work of closed connections counts as hanging. */
const TURNS_MAX = 20_000;

export interface FuzzRun {
  world: World;
  corpus: Seed[];
  seed: number;
  from?: number;
  cases: number;
  /** Answered with code 0 whatever the others send. */
  canary: RequestInit;
}

/** @returns one text per finding; empty = all invariants held */
export async function fuzz(run: FuzzRun): Promise<string[]> {
  const found: string[] = [];
  const canary = fakeConnection(run.world.listener, (text) => found.push(`canary: ${text}`));
  const from = run.from ?? 0;
  for (let at = from; at < from + run.cases && found.length < 5; at += BATCH) {
    const line = new Line(run, found);
    const end = Math.min(at + BATCH, from + run.cases);
    for (let one = at; one < end; one++) line.play(one);
    // Order: while the connections of the batch are open, what they registered is in force.
    await answeredCanary(run, canary, () => found.push(`seed ${run.seed} before ${end}: canary`));
    await line.settle(at);
  }
  canary.connection.close();
  return found;
}

/** The frame of one case, by itself: what a replay needs. */
export const frameOf = ({ corpus, seed }: Pick<FuzzRun, 'corpus' | 'seed'>, at: number): Buffer => {
  const rng = new Rng(seed * 7_919 + at);
  return mutated(rng.pick(corpus), rng);
};

class Line {
  readonly #run: FuzzRun;
  readonly #found: string[];
  readonly #used: FakeConnection[] = [];
  #current: FakeConnection | undefined;

  constructor(run: FuzzRun, found: string[]) {
    this.#run = run;
    this.#found = found;
  }

  play(at: number): void {
    const { world, seed } = this.#run;
    if (!this.#current?.connection.isOpen) this.#current = this.#open(at);
    const frame = frameOf(this.#run, at);
    this.#current.send(frame);
    const fresh = world.findings.splice(0);
    for (const text of fresh) {
      const hex = frame.toString('hex').slice(0, 2_000);
      this.#found.push(`seed ${seed} case ${at}: ${text}\nframe ${hex}`);
    }
    // A frame that claims more than it has swallows what follows: start anew.
    if (this.#current.connection.isOpen && frame.readInt32BE(0) !== frame.length - 4) {
      this.#current.connection.close();
    }
  }

  #open(at: number): FakeConnection {
    const made = fakeConnection(this.#run.world.listener, (text) =>
      this.#found.push(`seed ${this.#run.seed} case ${at}..: ${text}`),
    );
    this.#used.push(made);
    return made;
  }

  /** Lets everything of this batch end: answers leave, then the connections go. */
  async settle(at: number): Promise<void> {
    const { world, seed } = this.#run;
    await turn();
    await turn();
    for (const { connection } of this.#used) connection.close();
    const isBusy = () => this.#used.some(({ connection }) => connection.unanswered > 0);
    for (let turns = 0; isBusy(); turns++) {
      if (turns > TURNS_MAX) {
        this.#found.push(`seed ${seed} batch ${at}: requests never ended`);
        return;
      }
      await turn();
    }
    for (const text of world.findings.splice(0)) {
      this.#found.push(`seed ${seed} batch ${at}: ${text}`);
    }
  }
}

const turn = () => new Promise<void>((done) => setImmediate(done));

async function answeredCanary(run: FuzzRun, canary: FakeConnection, failed: () => void) {
  canary.last.answer = undefined;
  canary.send(encodeRequest(run.canary, 99));
  for (let turns = 0; turns < TURNS_MAX && canary.last.answer === undefined; turns++) await turn();
  const { answer } = canary.last as FakeConnection['last'];
  if (answer?.code !== 0 || !canary.connection.isOpen) failed();
}
