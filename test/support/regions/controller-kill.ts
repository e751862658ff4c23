// Kills a controller at a chosen moment of a switch. The moment is found from outside: the journal in
// the control store says which step has begun or ended, and taps between the controller and everything
// it calls hold the request (no effect yet) or the answer (effect there, after-record missing).
// Nothing in the product knows about this. Steps without a call of their own (they only look) are
// caught by the journal alone.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { type RunningProcess, tail, waitFor } from '../../../cli/demo/process.ts';
import { sleep } from '../../../core-broker/base/index.ts';
import { DR_CODE } from '../../../core-broker/protocol/index.ts';
import {
  type ControlStore,
  type Operation,
  openControlStore,
  type StepName,
  type StepRecord,
} from '../../../switchover/index.ts';
import { type DrRun, runDr } from '../dr-command.ts';
import {
  type FrameTap,
  frameTap,
  type Held,
  type HoldRule,
  type TappedFrame,
} from './frame-tap.ts';
import { judgeLog, OrderFlow } from './order-flow.ts';
import { type DrDocument, OTHER, PATIENT_MS, type RegionName, Stage } from './stage.ts';

export const PLANNED_STEPS = [
  'catch-up',
  'fence',
  'seal',
  'drain',
  'halt',
  'final-sync',
  'promote',
  'flip',
  'relay',
  'canary',
  'reverse',
] as const satisfies StepName[];

export const FAILOVER_STEPS = [
  'cut-off',
  'halt',
  'assess',
  'promote',
  'flip',
  'canary',
] as const satisfies StepName[];

export type Moment = 'before' | 'during' | 'after';

export interface KillPoint {
  step: StepName;
  when: Moment;
}

export const MOMENTS: readonly Moment[] = ['before', 'during', 'after'];

/** One kill, and what brings the switch to its end. */
export interface KillRound extends KillPoint {
  rescue: 'resume' | 'abort';
}

/** Each step once, in the moments in which most is open: an effect without its record. */
export function shortRounds(steps: readonly StepName[]): KillRound[] {
  const resumed = steps.map((step, index): KillRound => {
    const when = step === 'promote' ? 'during' : (MOMENTS[index % 3] as Moment);
    return { step, when, rescue: 'resume' };
  });
  return [...resumed, { step: 'promote', when: 'before', rescue: 'abort' }];
}

const isCode = (code: number) => (frame: TappedFrame) => frame.code === code;
const isCanary = (frame: TappedFrame) => frame.header.includes('DR_CANARY');
const SEND_MESSAGE = 10;

/** The request by which a step has its effect; absent = the step only looks. */
const EFFECT: Partial<Record<StepName, HoldRule['request']>> = {
  fence: isCode(DR_CODE.FENCE),
  seal: isCode(DR_CODE.SEAL),
  halt: isCode(DR_CODE.LINK_HALT),
  'final-sync': isCode(DR_CODE.FINAL_SYNC),
  assess: isCode(DR_CODE.TAIL_REPORT),
  promote: isCode(DR_CODE.PROMOTE),
  flip: isCode(DR_CODE.FLIP),
  relay: isCode(DR_CODE.RELAY_START),
  canary: (frame) => isCanary(frame) && frame.code === SEND_MESSAGE,
  reverse: isCode(DR_CODE.REVERSE),
};

export class TappedController {
  readonly yaml: string;
  readonly #stage: Stage;
  readonly #taps: FrameTap[];
  readonly #store: ControlStore;

  private constructor(
    stage: Stage,
    parts: { yaml: string; taps: FrameTap[]; store: ControlStore },
  ) {
    this.#stage = stage;
    this.yaml = parts.yaml;
    this.#taps = parts.taps;
    this.#store = parts.store;
  }

  /** A dr.yaml beside the regions' own whose addresses are taps. */
  static async open(stage: Stage): Promise<TappedController> {
    const folder = path.join(stage.folder, 'controller');
    const document = parse(fs.readFileSync(stage.files('east').drYaml, 'utf8')) as DrDocument;
    const taps = new Map<string, FrameTap>();
    const tap = async (address: string): Promise<string> => {
      const made = taps.get(address) ?? (await frameTap(address));
      taps.set(address, made);
      return made.address;
    };
    for (const region of Object.values(document.regions)) {
      for (const [name, address] of Object.entries(region.brokers)) {
        region.brokers[name] = await tap(address);
      }
    }
    for (const list of [document.flips.globalNameservers, document.flips.gateways]) {
      for (const [index, address] of list.entries()) list[index] = await tap(address);
    }
    document['switchover'] = {
      maxWritePauseMs: 2_500,
      drainTimeoutMs: 2_400,
      callTimeoutMs: 5_000,
      promoteTimeoutMs: 60_000,
    };
    fs.mkdirSync(folder, { recursive: true });
    const yaml = path.join(folder, 'dr.yaml');
    fs.writeFileSync(yaml, stringify(document));
    const store = await openControlStore({ kind: 'sqlite', path: path.join(folder, 'control.db') });
    const made = new TappedController(stage, { yaml, taps: [...taps.values()], store });
    return stage.onClose(made, (each) => each.#close());
  }

  async operation(): Promise<Operation | undefined> {
    return (await this.#store.read('operation'))?.value as Operation | undefined;
  }

  /** Records of the operation that is not `before`. */
  async records(before: string | undefined): Promise<StepRecord[]> {
    const operation = await this.operation();
    if (!operation || operation.opId === before) return [];
    const entries = await this.#store.readJournal(`op:${operation.opId}`);
    return entries.map((entry) => entry.record as StepRecord);
  }

  run(...words: string[]): Promise<DrRun> {
    return runDr([...words, '-c', this.yaml]);
  }

  /**
   * Starts `words` and kills it -9 at the point.
   * @returns what was held: release it later, as a packet that was still on its way
   */
  async killAt(words: string[], point: KillPoint, steps: readonly StepName[]): Promise<Held[]> {
    const before = (await this.operation())?.opId;
    const held = this.#holdFor(point, steps);
    const running = this.#stage.startDr(this.yaml, words);
    try {
      await this.#reach(point, { held, running, before });
    } catch (reason) {
      for (const each of held) each.release();
      throw reason;
    } finally {
      await running.stop('SIGKILL');
    }
    // Holds that caught nothing must not catch the calls of the rescue.
    for (const each of held) if (!each.isReached) each.release();
    return held.filter((each) => each.isReached);
  }

  #holdFor({ step, when }: KillPoint, steps: readonly StepName[]): Held[] {
    const effect = EFFECT[step];
    if (when !== 'after' && effect) {
      return this.#hold({ request: effect, what: when === 'before' ? 'request' : 'response' });
    }
    const next = steps.slice(steps.indexOf(step) + 1).find((each) => EFFECT[each]);
    const request = next && EFFECT[next];
    return request ? this.#hold({ request, what: 'request' }) : [];
  }

  #hold(rule: HoldRule): Held[] {
    return this.#taps.map((tap) => tap.hold(rule));
  }

  async #reach(
    { step, when }: KillPoint,
    seen: { held: Held[]; running: RunningProcess; before: string | undefined },
  ): Promise<void> {
    const stages = when === 'after' ? ['after', 'partial'] : ['before'];
    const looksOnly = EFFECT[step] === undefined;
    const isJournaled = async () =>
      (await this.records(seen.before)).some(
        (record) => record.step === step && stages.includes(record.stage),
      ) ||
      // A step that only looks is left out when there is nothing to wait for: held behind it is the same.
      (looksOnly && seen.held.some((each) => each.isReached));
    const needsHold = when !== 'after' && !looksOnly;
    const deadline = performance.now() + PATIENT_MS;
    for (;;) {
      const isHeld = !needsHold || seen.held.some((each) => each.isReached);
      if (isHeld && (await isJournaled())) return;
      // The last step of a run leaves nothing to hold: its end is then as good.
      if (seen.running.exit() === 0 && when === 'after') return;
      if (seen.running.exit() !== undefined || performance.now() > deadline) {
        const log = tail(seen.running.logFile, 30);
        throw new Error(`${when} ${step} not reached (${seen.running.exit()}):\n${log}`);
      }
      await sleep(1);
    }
  }

  async #close(): Promise<void> {
    await Promise.all(this.#taps.map((tap) => tap.stop()));
    await this.#store.close();
  }
}

/** Looks at both brokers all the time: two open regions at one moment are the worst that can happen. */
export class WriterWatch {
  readonly violations: string[] = [];
  readonly #stage: Stage;
  #isRunning = true;
  #loop: Promise<void>;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#loop = this.#run();
    stage.onClose(this, (each) => each.stop());
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      // Open before and after the other one was seen open: open at the same time.
      const first = await this.#stage.status('east');
      const west = await this.#stage.status('west');
      const again = await this.#stage.status('east');
      const states = [first, west, again].map((each) => `${each?.writeState}@${each?.epoch}`);
      if ([first, west, again].every((each) => each?.writeState === 'open')) {
        this.violations.push(states.join(' '));
      }
      await sleep(25);
    }
  }
}

/** Two regions with orders flowing, a controller behind taps, a watch, and what must be so in the end. */
export class KillSite {
  readonly stage: Stage;
  readonly controller: TappedController;
  readonly flow: OrderFlow;
  readonly watch: WriterWatch;
  active: RegionName = 'east';
  epoch = 1;

  private constructor(stage: Stage, controller: TappedController, flow: OrderFlow) {
    this.stage = stage;
    this.controller = controller;
    this.flow = flow;
    this.watch = new WriterWatch(stage);
  }

  /** Both regions up, orders go through a gateway; none flows yet. */
  static async open(name: string, everyMs: number): Promise<KillSite> {
    const stage = await Stage.open(name, { gateway: true });
    try {
      const controller = await TappedController.open(stage);
      const flow = new OrderFlow({ nameserver: stage.regions.globalNameserver, everyMs });
      stage.onClose(flow, (each) => each.stop());
      return new KillSite(stage, controller, flow);
    } catch (reason) {
      await stage.close();
      throw reason;
    }
  }

  get standby(): RegionName {
    return OTHER[this.active];
  }

  /** The switch went through. */
  noteSwitched(): void {
    this.active = this.standby;
    this.epoch++;
  }

  expectOneWriter(): Promise<void> {
    return expectOneWriter(this.stage, this);
  }

  /** After all rounds, with orders paused for good: read is what the regions hold. */
  async expectNothingLost(): Promise<void> {
    const { stage, flow } = this;
    await flow.pause();
    const end = await stage.level(this.standby);
    expect(stage.sameLog(end)).toBe(true);
    const verdict = await judgeLog(flow, stage.files(this.active).nameserver);
    expect(verdict).toMatchObject({ lost: 0, duplicatedByBroker: 0, outOfOrder: 0 });
    expect(verdict.acknowledged).toBeGreaterThan(200);
    expect(this.watch.violations).toEqual([]);
  }
}

/** The end of every operation: one region writes at `epoch`, the flips name it, nothing is parked. */
export async function expectOneWriter(
  stage: Stage,
  end: { active: 'east' | 'west'; epoch: number },
): Promise<void> {
  const active = await stage.until(
    end.active,
    `open at epoch ${end.epoch}`,
    (status) => status.writeState === 'open' && status.epoch === end.epoch,
  );
  if (active.role !== 'active') throw new Error(`${end.active} is open and ${active.role}`);
  await waitFor(
    `the flips to name ${end.active} at ${end.epoch}`,
    async () =>
      (await stage.flips()).every(
        (flip) => flip.region === end.active && (flip.epoch === end.epoch || end.epoch === 1),
      ),
    { timeoutMs: PATIENT_MS },
  );
}
