// The verbs that only look: status, plan, ready, and the checks every start makes.
import type { PlanResult, ReadyReport, StatusReport } from './door.ts';
import type { OperationKind } from './journal.ts';
import { askAll, askFlips, compareTopics } from './observe.ts';
import { activeRegionOf, describeHolder, directionOf, OPERATION_LEASE } from './operation/index.ts';
import { phaseOf } from './phase.ts';
import { happyPath } from './plan.ts';
import type { Phase } from './plan-table.ts';
import { checkFailover, checkPlanned, type PreflightCheck } from './preflight.ts';
import { gatherStatement, Run, type RunTools } from './steps/index.ts';

export async function inspectStatus(tools: RunTools): Promise<StatusReport> {
  const { options, journal } = tools;
  const [brokers, flips, lease] = await Promise.all([
    askAll(options),
    askFlips(options),
    options.store.readLease(OPERATION_LEASE),
    journal.load(),
  ]);
  const { operation, records } = journal;
  const active = activeRegionOf(brokers);
  return {
    activeRegion: active.region,
    epoch: active.epoch,
    brokers,
    flips,
    operation,
    phase: await currentPhase(tools),
    lockedBy: lease && lease.remainingMs > 0 ? describeHolder(lease) : undefined,
    timeline: records.map(({ step, stage, atMs }) => ({ step, stage, atMs })),
  };
}

async function currentPhase(tools: RunTools): Promise<Phase> {
  const { operation } = tools.journal;
  if (!operation) return 'idle';
  const run = new Run(tools, operation.from, operation.to);
  await run.observe();
  return phaseOf({ ...run.view(), operation });
}

export async function inspectPlan(
  tools: RunTools,
  intent: { verb: 'switchover' | 'failover'; to?: string },
): Promise<PlanResult> {
  const kind = intent.verb === 'failover' ? 'failover' : 'planned';
  const run = await look(tools, intent.to);
  const checks = await checkStart(run, kind);
  const isClear = checks.every(({ isOk }) => isOk);
  return {
    kind,
    from: run.from,
    to: run.to,
    fromEpoch: epochOf(run),
    checks,
    steps: happyPath(kind).flatMap(({ action, why }) =>
      action === 'begin' || action === 'finish' || action === 'stop' ? [] : [{ step: action, why }],
    ),
    statement: kind === 'failover' && isClear ? await gatherStatement(run) : undefined,
  };
}

export async function inspectReady(tools: RunTools, to: string | undefined): Promise<ReadyReport> {
  const run = await look(tools, to);
  const planned = await checkStart(run, 'planned');
  const forced = checkFailover(run.view());
  const isForced = forced.every(({ isOk }) => isOk);
  return {
    switchover: { ready: planned.every(({ isOk }) => isOk), checks: planned },
    failover: {
      ready: isForced,
      checks: forced,
      statement: isForced ? await gatherStatement(run) : undefined,
    },
  };
}

/** Looks, then checks; nothing is touched. */
export async function checkStart(run: Run, kind: OperationKind): Promise<PreflightCheck[]> {
  await run.observe(kind === 'planned');
  if (kind === 'failover') return checkFailover(run.view());
  const { options } = run.tools;
  const mismatches = await compareTopics(options, run.from, run.to);
  return checkPlanned(run.view(mismatches), options.settings);
}

/** Epoch that a switch from here would end. */
export function epochOf(run: Run): number {
  const [decider] = run.pairs;
  return decider?.target?.epoch ?? decider?.source?.epoch ?? 0;
}

async function look(tools: RunTools, to: string | undefined): Promise<Run> {
  const { options } = tools;
  const { from, to: target } = directionOf(await askAll(options), Object.keys(options.regions), to);
  return new Run(tools, from, target);
}
