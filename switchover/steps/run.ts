// One run of one operation: what the steps share. The board is the last answer of every broker; a step
// that gets a fresher one puts it there, so a run without trouble asks nothing twice while writes stop.
import { DrError } from '../../core-broker/base/index.ts';
import type { DrStatus } from '../../core-broker/protocol/index.ts';
import type { ControllerEvent, ControllerOptions } from '../door.ts';
import type { Journal, Operation, StepFacts } from '../journal.ts';
import { askFlips, askRegion } from '../observe.ts';
import type { ClusterView, FlipView, PairView } from '../phase.ts';

export interface RunTools {
  options: ControllerOptions;
  journal: Journal;
  nowMs: () => number;
  sleep: (ms: number) => Promise<void>;
  report: (event: ControllerEvent) => void;
}

/** What a step returns; `problems` make it partial: passed, a resume tries again. */
export interface StepOutcome {
  facts: StepFacts;
  problems: string[];
}

export const done = (facts: StepFacts = {}): StepOutcome => ({ facts, problems: [] });

export class Run {
  readonly tools: RunTools;
  readonly from: string;
  readonly to: string;
  pairs: PairView[] = [];
  flips: FlipView[] = [];
  /** Deadline of the current phase on tools.nowMs, if it has one. */
  deadlineMs: number | undefined;
  /** When this run raised the fence; undefined after a resume. */
  fencedAtMs: number | undefined;
  promotedAtMs: number | undefined;
  canaryAtMs: number | undefined;
  problems: string[] = [];

  constructor(tools: RunTools, from: string, to: string) {
    this.tools = tools;
    this.from = from;
    this.to = to;
  }

  get operation(): Operation {
    const { operation } = this.tools.journal;
    if (!operation) throw new Error('a step ran without an operation');
    return operation;
  }

  get opId(): string {
    return this.operation.opId;
  }

  /** Asks every broker of both regions, and the flips when `withFlips`. */
  async observe(withFlips = false): Promise<void> {
    const { options } = this.tools;
    const [source, target, flips] = await Promise.all([
      askRegion(options, this.from),
      askRegion(options, this.to),
      withFlips ? askFlips(options) : this.flips,
    ]);
    const targets = new Map(target.map((report) => [report.brokerName, report.status]));
    this.pairs = source.flatMap(({ brokerName, status }) =>
      targets.has(brokerName)
        ? [{ brokerName, source: status, target: targets.get(brokerName) }]
        : [],
    );
    this.flips = flips;
  }

  /** Asks the standby brokers only: what a drain polls. */
  async observeTargets(): Promise<void> {
    const reports = await askRegion(this.tools.options, this.to);
    const targets = new Map(reports.map((report) => [report.brokerName, report.status]));
    this.pairs = this.pairs.map((pair) => ({ ...pair, target: targets.get(pair.brokerName) }));
  }

  view(topicMismatches: string[] = []): ClusterView {
    const { options, journal, nowMs } = this.tools;
    const [source, target] = [this.from, this.to].map((region) =>
      Object.keys(options.regions[region]?.brokers ?? {}),
    ) as [string[], string[]];
    const paired = this.pairs.map((pair) => pair.brokerName);
    return {
      nowMs: nowMs(),
      from: this.from,
      to: this.to,
      pairs: this.pairs,
      unpaired: [...new Set([...source, ...target])].filter((name) => !paired.includes(name)),
      flips: this.flips,
      topicMismatches,
      operation: journal.operation?.outcome ? undefined : journal.operation,
      progress: journal.progress(),
      fenceLagBytes: options.settings.fenceLagBytes,
    };
  }

  sourceAddress(brokerName: string): string {
    return this.#address(this.from, brokerName);
  }

  targetAddress(brokerName: string): string {
    return this.#address(this.to, brokerName);
  }

  #address(region: string, brokerName: string): string {
    const address = this.tools.options.regions[region]?.brokers[brokerName];
    if (!address) throw new DrError('CONFIG', `region ${region} has no broker ${brokerName}`);
    return address;
  }

  /** One signed request under this operation's id. */
  control<T>(
    address: string,
    code: number,
    extra: { opId?: string; [field: string]: unknown } = {},
    timeoutMs?: number,
  ): Promise<T> {
    const { drClient, settings } = this.tools.options;
    const opId = extra.opId ?? this.opId;
    const request = { code, body: { ...extra, opId }, opId };
    return drClient.control<T>(address, request, timeoutMs ?? settings.callTimeoutMs);
  }

  /** Does `action` for every broker name at once; the first failure is thrown after all ended. */
  async everyPair(action: (pair: PairView) => Promise<void>): Promise<void> {
    const ended = await Promise.allSettled(this.pairs.map(action));
    for (const result of ended) if (result.status === 'rejected') throw result.reason;
  }

  patchSource(brokerName: string, change: Partial<DrStatus>): void {
    this.pairs = this.pairs.map((pair) =>
      pair.brokerName === brokerName && pair.source
        ? { ...pair, source: { ...pair.source, ...change } }
        : pair,
    );
  }

  patchTarget(brokerName: string, change: Partial<DrStatus>): void {
    this.pairs = this.pairs.map((pair) =>
      pair.brokerName === brokerName && pair.target
        ? { ...pair, target: { ...pair.target, ...change } }
        : pair,
    );
  }
}
