// The controller behind the operator's verbs. Each verb: look at the brokers, take the operation lock,
// find or begin the operation, drive it by the plan table. It talks to brokers, name servers and
// gateways only over the wire, so it runs anywhere and may be killed at any point.
import * as os from 'node:os';
import { DrError, LIMITS, sleep, systemClock } from '../core-broker/base/index.ts';
import { switchoverConfigSchema } from './config.ts';
import type {
  BrokerReport,
  Controller,
  ControllerOptions,
  FailoverRequest,
  OperationResult,
  PlanResult,
  ReadyReport,
  StatusReport,
  SwitchoverRequest,
} from './door.ts';
import { checkStart, epochOf, inspectPlan, inspectReady, inspectStatus } from './inspect.ts';
import { Journal, type Operation, type OperationKind } from './journal.ts';
import { askAll, askFlips } from './observe.ts';
import {
  activeRegionOf,
  directionOf,
  newOpId,
  OperationLock,
  rebuildOperation,
  traceOf,
} from './operation/index.ts';
import { phaseOf } from './phase.ts';
import { decide, type Intent } from './plan.ts';
import type { PreflightCheck } from './preflight.ts';
import { renderStatement } from './statement.ts';
import {
  driveOperation,
  flipTo,
  gatherStatement,
  Run,
  type RunTools,
  resultOf,
} from './steps/index.ts';

type Verb = Intent['verb'];

export function createController(options: ControllerOptions): Controller {
  return new RegionController(options);
}

class RegionController implements Controller {
  readonly #options: ControllerOptions;
  readonly #process: NonNullable<ControllerOptions['process']>;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#process = options.process ?? { host: os.hostname(), pid: process.pid, isAlive };
  }

  async switchover(request: SwitchoverRequest): Promise<OperationResult> {
    refusePause(request.maxWritePauseMs);
    return this.#locked('switchover', async (tools, lock) => {
      refuseUnfinished(tools.journal.operation);
      const direction = directionOf(await askAll(this.#options), this.#regions, request.to);
      const run = new Run(tools, direction.from, direction.to);
      const checks = await checkStart(run, 'planned');
      this.#decideStart(run, 'switchover', checks, true);
      await this.#begin(run, 'planned', request);
      run.deadlineMs = tools.nowMs() + this.#options.settings.catchUpTimeoutMs;
      return driveOperation({ run, verb: 'switchover', guard: lock.guard });
    });
  }

  async failover(request: FailoverRequest): Promise<OperationResult> {
    return this.#locked('failover', async (tools, lock) => {
      const direction = directionOf(await askAll(this.#options), this.#regions, request.to);
      const run = new Run(tools, direction.from, direction.to);
      const checks = await checkStart(run, 'failover');
      if (checks.every(({ isOk }) => isOk) && !request.acceptDataLoss) await refuseLoss(run);
      this.#decideStart(run, 'failover', checks, request.acceptDataLoss === true);
      await this.#supersede(tools);
      await this.#begin(run, 'failover', {});
      const { promoteTimeoutMs, failoverFenceMs } = this.#options.settings;
      run.deadlineMs = tools.nowMs() + promoteTimeoutMs + failoverFenceMs;
      return driveOperation({ run, verb: 'failover', guard: lock.guard });
    });
  }

  resume(): Promise<OperationResult> {
    return this.#locked('resume', async (tools, lock) => {
      const reports = await askAll(this.#options);
      const operation = await this.#findUnfinished(tools, reports, 'resume');
      if (!operation) return this.#flipLaggards(tools, reports);
      return this.#continue(tools, lock, operation, 'resume');
    });
  }

  abort(): Promise<OperationResult> {
    return this.#locked('abort', async (tools, lock) => {
      const operation = await this.#findUnfinished(tools, await askAll(this.#options), 'abort');
      if (!operation) {
        throw new DrError('NOT_FOUND', 'there is no operation to abort', {
          hint: 'after a promotion only a new switch goes back; flips that missed it: resume',
        });
      }
      return this.#continue(tools, lock, operation, 'abort');
    });
  }

  status(): Promise<StatusReport> {
    return inspectStatus(this.#tools());
  }

  plan(intent: { verb: 'switchover' | 'failover'; to?: string }): Promise<PlanResult> {
    return inspectPlan(this.#tools(), intent);
  }

  ready(to?: string): Promise<ReadyReport> {
    return inspectReady(this.#tools(), to);
  }

  get #regions(): string[] {
    return Object.keys(this.#options.regions);
  }

  #tools(): RunTools {
    const clock = this.#options.clock ?? systemClock;
    return {
      options: this.#options,
      journal: new Journal(this.#options.store),
      nowMs: () => clock.nowMs(),
      sleep: this.#options.sleep ?? ((ms) => sleep(ms)),
      report: this.#options.report ?? (() => undefined),
    };
  }

  async #locked<T>(
    verb: Verb,
    body: (tools: RunTools, lock: OperationLock) => Promise<T>,
  ): Promise<T> {
    const tools = this.#tools();
    const lock = await OperationLock.acquire({
      store: this.#options.store,
      purpose: verb,
      ttlMs: this.#options.settings.leaseTtlMs,
      waitsForLapse: verb === 'resume' || verb === 'abort',
      process: this.#process,
      sleep: tools.sleep,
    });
    try {
      await tools.journal.load();
      return await body(tools, lock);
    } finally {
      // A store that is gone cannot be told; the lease lapses by itself.
      await lock.release().catch(() => undefined);
    }
  }

  /** The first row of the plan, while nothing is touched. @throws DrError REFUSED */
  #decideStart(run: Run, verb: Verb, checks: PreflightCheck[], acceptDataLoss: boolean): void {
    const failed = checks.filter(({ isOk }) => !isOk);
    const idle = { ...run.view(), operation: undefined };
    const { row } = decide(idle, {
      verb,
      acceptDataLoss,
      isClear: failed.length === 0,
      deadlineMs: undefined,
      failure: undefined,
      hasProblems: false,
    });
    if (row.action === 'begin') return;
    const found = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
    throw new DrError('REFUSED', `${row.why}: ${found}`, { context: { checks } });
  }

  /** A failover may take over from a planned switch that is stuck before its promotion. */
  async #supersede(tools: RunTools): Promise<void> {
    const { operation } = tools.journal;
    if (!operation || operation.outcome) return;
    const ended = { ...operation, outcome: 'superseded' as const, endedAtMs: tools.nowMs() };
    if (!(await tools.journal.write(ended))) throw raced();
  }

  /** The operation a resume or abort works on: the journal's, or the one the brokers remember. */
  async #findUnfinished(
    tools: RunTools,
    reports: BrokerReport[],
    verb: 'resume' | 'abort',
  ): Promise<Operation | undefined> {
    const { operation } = tools.journal;
    if (operation && !operation.outcome) return operation;
    const trace = traceOf(reports);
    const isReopened =
      (verb === 'resume' && operation?.outcome === 'incomplete') ||
      (operation?.outcome === 'rolled-back' && trace?.opId === operation.opId);
    if (operation && isReopened) return { ...operation, outcome: undefined, endedAtMs: undefined };
    // What a finished operation leaves at its old side (sealed, relaying) is no trace of another one.
    if (!trace || trace.opId === operation?.opId) return undefined;
    const settings = { ...this.#options.settings, nowMs: tools.nowMs() };
    return rebuildOperation(trace.opId, reports, settings);
  }

  async #continue(
    tools: RunTools,
    lock: OperationLock,
    operation: Operation,
    verb: 'resume' | 'abort',
  ): Promise<OperationResult> {
    if (tools.journal.operation !== operation && !(await tools.journal.write(operation))) {
      throw raced();
    }
    tools.journal.retryPartial();
    const run = new Run(tools, operation.from, operation.to);
    await run.observe();
    const { settings } = this.#options;
    const phase = phaseOf(run.view());
    const budgetMs =
      phase === 'catching-up' || phase === 'level'
        ? settings.catchUpTimeoutMs
        : operation.kind === 'planned'
          ? operation.maxWritePauseMs
          : settings.promoteTimeoutMs;
    run.deadlineMs = tools.nowMs() + budgetMs;
    return driveOperation({ run, verb, guard: lock.guard });
  }

  /** No operation is open: the brokers' epoch is brought to the flips that missed it. */
  async #flipLaggards(tools: RunTools, reports: BrokerReport[]): Promise<OperationResult> {
    const nothing = new DrError('NOT_FOUND', 'there is no operation to resume');
    const active = activeRegionOf(reports);
    const opId =
      reports.find(({ region, status }) => region === active.region && status?.opId)?.status
        ?.opId ?? newOpId('planned', tools.nowMs());
    const flips = await askFlips(this.#options);
    const isBehind = flips.some(({ status }) => !status || status.epoch < active.epoch);
    const from = this.#regions.find((region) => region !== active.region);
    if (!isBehind || !active.region || !from) throw nothing;
    const run = new Run(tools, from, active.region);
    const { problems } = await flipTo(run, { opId, region: active.region, epoch: active.epoch });
    const operation = this.#newOperation(run, 'planned', active.epoch - 1, {});
    const ended = { ...operation, opId, endedAtMs: tools.nowMs(), isRebuilt: true };
    if (problems.length === 0) return resultOf(run, { ...ended, outcome: 'done' }, 'done');
    throw new DrError('INCOMPLETE', `still not flipped: ${problems.join('; ')}`);
  }

  #newOperation(
    run: Run,
    kind: OperationKind,
    fromEpoch: number,
    request: SwitchoverRequest,
  ): Operation {
    const { settings } = this.#options;
    const nowMs = run.tools.nowMs();
    return {
      opId: newOpId(kind, nowMs),
      kind,
      from: run.from,
      to: run.to,
      fromEpoch,
      maxWritePauseMs: request.maxWritePauseMs ?? settings.maxWritePauseMs,
      reverseLink: request.reverseLink ?? settings.reverseLink,
      startedAtMs: nowMs,
      endedAtMs: undefined,
      outcome: undefined,
      isRebuilt: false,
    };
  }

  async #begin(run: Run, kind: OperationKind, request: SwitchoverRequest): Promise<void> {
    const operation = this.#newOperation(run, kind, epochOf(run), request);
    if (!(await run.tools.journal.write(operation))) throw raced();
  }
}

function refusePause(maxWritePauseMs: number | undefined): void {
  if (maxWritePauseMs === undefined) return;
  const known = switchoverConfigSchema.shape.maxWritePauseMs.safeParse(maxWritePauseMs);
  if (known.success) return;
  const why = `sends are parked at most ${LIMITS.parkedMs} ms`;
  throw new DrError('USAGE', `max write pause of ${maxWritePauseMs} ms: ${why}`);
}

function refuseUnfinished(operation: Operation | undefined): void {
  if (!operation || operation.outcome) return;
  throw new DrError('LOCKED', `operation ${operation.opId} is not finished`, {
    hint: 'run `dr switchover resume` to finish it or `dr switchover abort` to undo it',
    context: { operation },
  });
}

async function refuseLoss(run: Run): Promise<never> {
  const statement = await gatherStatement(run);
  run.tools.report({ type: 'statement', statement });
  throw new DrError('WOULD_LOSE_DATA', renderStatement(statement), {
    hint: 'nothing was changed; add --accept-data-loss to go on',
    context: { statement },
  });
}

const raced = (): DrError =>
  new DrError('LOCKED', 'another controller changed the current operation meanwhile', {
    hint: 'look at `dr status`',
  });

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (reason) {
    // EPERM: it is there, somebody else's.
    return (reason as NodeJS.ErrnoException).code === 'EPERM';
  }
}
