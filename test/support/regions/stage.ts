// Two regions as real processes, laid out as an operator would, and what a test asks of them: signed
// status calls to the brokers (never through a controller), health, the journal, comparisons of logs.
// `controllerYaml` is a dr.yaml whose addresses are taps, for tests that stop a controller half-way.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parse, stringify } from 'yaml';
import { DR_ENTRY, type RunningProcess, startProcess, waitFor } from '../../../cli/demo/process.ts';
import {
  httpGet,
  layOutRegions,
  type RegionFiles,
  type RegionName,
  type Regions,
  type RegionsOptions,
} from '../../../cli/demo/regions.ts';
import { Secret } from '../../../core-broker/base/index.ts';
import { createDrClient, type DrClient } from '../../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus, type FlipResult } from '../../../core-broker/protocol/index.ts';
import { type DrRun, runDr } from '../dr-command.ts';
import { logBytes } from '../small-store.ts';

export type { RegionName } from '../../../cli/demo/regions.ts';
export const OTHER: Record<RegionName, RegionName> = { east: 'west', west: 'east' };
/** Long enough for a machine that does many other things. */
export const PATIENT_MS = 90_000;

export interface Health {
  ready: boolean;
  reasons: string[];
}

export class Stage {
  readonly regions: Regions;
  readonly control: DrClient;
  readonly folder: string;
  readonly #closers: (() => Promise<unknown> | undefined)[] = [];

  private constructor(regions: Regions) {
    this.regions = regions;
    this.folder = regions.folder;
    const secret = fs.readFileSync(path.join(regions.folder, 'dr.secret'), 'utf8').trim();
    this.control = createDrClient({ secret: new Secret(secret) });
  }

  /** Files only; nothing runs yet. */
  static async layOut(name: string, options: Partial<RegionsOptions> = {}): Promise<Stage> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), `dr-${name}-`));
    return new Stage(await layOutRegions({ folder, gateway: false, ...options }));
  }

  /** Both regions up, east active, west its level standby. */
  static async open(name: string, options: Partial<RegionsOptions> = {}): Promise<Stage> {
    for (let attempt = 1; ; attempt++) {
      const stage = await Stage.layOut(name, options);
      try {
        await stage.start();
        return stage;
      } catch (reason) {
        const isPortTaken = stage.#exits().includes(7);
        await stage.close();
        // A port that was free at the lay-out may be another program's by now.
        if (!isPortTaken || attempt >= 3) throw reason;
      }
    }
  }

  #exits(): (number | string | undefined)[] {
    return [...this.regions.processes.values()].map((each) => each.exit());
  }

  async start(): Promise<void> {
    await Promise.all([
      this.regions.startGlobal(),
      this.regions.startRegion('east'),
      this.regions.startRegion('west'),
    ]);
    await this.ready('east', 'west');
  }

  /** Something to end before the regions do: a client, a proxy. */
  onClose<T>(thing: T, close: (thing: T) => Promise<unknown> | undefined): T {
    this.#closers.unshift(async () => close(thing));
    return thing;
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
    this.control.close();
    await this.regions.stopAll('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  files(name: RegionName): RegionFiles {
    return this.regions[name];
  }

  /** Edits the dr.yaml of a region before it starts. */
  editYaml(name: RegionName, edit: (document: DrDocument) => void): void {
    const file = this.files(name).drYaml;
    const document = parse(fs.readFileSync(file, 'utf8')) as DrDocument;
    edit(document);
    fs.writeFileSync(file, stringify(document));
  }

  ask<T>(name: RegionName, code: number, body: object = {}): Promise<T> {
    return this.control.control<T>(this.files(name).broker, { code, body }, 10_000);
  }

  /** What the broker itself says; undefined while it does not answer. */
  async status(name: RegionName): Promise<DrStatus | undefined> {
    const request = { code: DR_CODE.STATUS, body: {} };
    return this.control
      .control<DrStatus>(this.files(name).broker, request, 5_000)
      .catch(() => undefined);
  }

  async statusNow(name: RegionName): Promise<DrStatus> {
    return waitFor(`${name} to answer`, () => this.status(name), { timeoutMs: PATIENT_MS });
  }

  async flips(): Promise<FlipResult[]> {
    const { flips } = parse(fs.readFileSync(this.files('east').drYaml, 'utf8')) as DrDocument;
    const addresses = [...flips.globalNameservers, ...flips.gateways];
    const request = { code: DR_CODE.FLIP_STATUS, body: {} };
    return Promise.all(addresses.map((each) => this.control.control<FlipResult>(each, request)));
  }

  async health(name: RegionName): Promise<Health | undefined> {
    const answer = await httpGet(this.files(name).http, '/health/ready');
    return answer && (JSON.parse(answer.body) as Health);
  }

  async ready(...names: RegionName[]): Promise<void> {
    for (const name of names) {
      let last: Health | undefined;
      await waitFor(
        `${name} to be ready`,
        async () => {
          last = await this.health(name);
          return last?.ready === true;
        },
        { timeoutMs: PATIENT_MS, ...this.#watched(name) },
      ).catch((reason: Error) => {
        throw new Error(`${reason.message}: ${JSON.stringify(last)}`, { cause: reason });
      });
    }
  }

  /** Waits for a broker's own status to be so. */
  async until(
    name: RegionName,
    what: string,
    isSo: (status: DrStatus) => boolean,
  ): Promise<DrStatus> {
    let last: DrStatus | undefined;
    return waitFor(
      `${name}: ${what}`,
      async () => {
        last = await this.status(name);
        return last && isSo(last) ? last : undefined;
      },
      { timeoutMs: PATIENT_MS },
    ).catch((reason: Error) => {
      throw new Error(`${reason.message}: ${JSON.stringify(last)}`, { cause: reason });
    });
  }

  /** Waits until `standby` holds every byte the other side has; nobody may be sending. */
  async level(standby: RegionName): Promise<number> {
    return waitFor(
      `${standby} to be level`,
      async () => {
        const [own, other] = await Promise.all([this.status(standby), this.status(OTHER[standby])]);
        const isLevel = own?.link?.state === 'following' && own.maxOffset === other?.maxOffset;
        return isLevel && own.link?.lagMessages === 0 ? own.maxOffset : undefined;
      },
      { timeoutMs: PATIENT_MS },
    );
  }

  /** True when both logs hold the same bytes below `end`. */
  sameLog(end: number, from = 0): boolean {
    const [east, west] = [this.files('east').store, this.files('west').store];
    const bytes = logBytes(east, from, end);
    return bytes.length > 0 && bytes.equals(logBytes(west, from, end));
  }

  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | string> {
    const running = this.regions.processes.get(name);
    if (!running) throw new Error(`${name} never ran`);
    return running.stop(signal);
  }

  /** One `dr` command with the dr.yaml of a region. */
  dr(name: RegionName, ...words: string[]): Promise<DrRun> {
    return runDr([...words, '-c', this.files(name).drYaml]);
  }

  /** The same, from another dr.yaml, as a process that the test may kill. */
  startDr(yaml: string, words: string[]): RunningProcess {
    const name = `dr-${words[0]}-${this.#runs++}`;
    const logFile = path.join(this.folder, 'logs', `${name}.log`);
    const running = startProcess({ name, args: [DR_ENTRY, ...words, '-c', yaml], logFile });
    return this.onClose(running, (each) => each.stop('SIGKILL'));
  }
  #runs = 0;

  #watched(name: RegionName): { watch?: RunningProcess[] } {
    const running = this.regions.processes.get(name);
    return running ? { watch: [running] } : {};
  }
}

/** The parts of a dr.yaml that tests change. */
export interface DrDocument {
  region: string;
  regions: Record<string, { nameservers: string[]; brokers: Record<string, string> }>;
  secretFile: string;
  flips: { globalNameservers: string[]; gateways: string[] };
  controlStore: { kind: string; path: string };
  [key: string]: unknown;
}
