// The loop of an operation: look up the plan, journal before, act, journal after, again. It ends in a
// result or throws the DrError whose code is the exit status. The plan decides; nothing here does,
// except what happens when the control store itself is lost: before the promotion the run undoes
// without it, after it the run goes forward without it, because brokers and not the store are the truth.
import { DrError } from '../../core-broker/base/index.ts';
import type { LeaseGuard } from '../control-store/index.ts';
import type { OperationResult } from '../door.ts';
import type { Operation, Outcome, StepFacts, StepName, StepStage } from '../journal.ts';
import { deciderState } from '../phase.ts';
import { type Decision, decide, type Intent } from '../plan.ts';
import type { PlanRow } from '../plan-table.ts';
import type { Run } from './run.ts';
import { STEPS } from './table.ts';

/** A step that succeeds this often without moving the operation on is not working. */
const REPEATS_MAX = 3;
/** Pause between two tries of a step whose call failed. */
const RETRY_PAUSE_MS = 50;

export interface Drive {
  run: Run;
  verb: Intent['verb'];
  guard: LeaseGuard;
}

/** Drives the current operation to its end. */
export async function driveOperation(drive: Drive): Promise<OperationResult> {
  const { run, verb } = drive;
  let failure: DrError | undefined;
  let repeats = 0;
  for (let last: PlanRow | undefined; ; ) {
    const decision = decide(run.view(), intentOf(run, verb, failure));
    const { row } = decision;
    if (row.action === 'stop') throw stopError(run, decision, failure);
    if (row.action === 'finish') return finish(drive, row.to === 'done' ? 'done' : 'incomplete');
    if (row.action === 'begin') throw new Error('an operation begins once');
    repeats = row === last ? repeats + 1 : 0;
    last = row;
    if (repeats > REPEATS_MAX && failure?.retry === 'never') throw stuck(run, row, failure);
    if (row.action === 'roll-back' && repeats > REPEATS_MAX) throw stranded(run, failure);
    if (repeats > REPEATS_MAX && !failure) failure = noEffect(row);
    else {
      const cause = failure;
      failure = await perform(drive, row, row.action);
      if (row.action === 'roll-back' && !failure) return rolledBack(drive, row, cause);
    }
  }
}

function intentOf(run: Run, verb: Intent['verb'], failure: DrError | undefined): Intent {
  return {
    verb,
    acceptDataLoss: true,
    isClear: true,
    deadlineMs: run.deadlineMs,
    failure,
    hasProblems: run.problems.length > 0,
  };
}

/** One step with its records. @returns the failure to show to the plan, if there was one */
async function perform(drive: Drive, row: PlanRow, step: StepName): Promise<DrError | undefined> {
  const { run } = drive;
  try {
    await note(drive, row, 'before', {});
  } catch (reason) {
    await leaveWithoutStore(drive, reason);
  }
  let outcome: Awaited<ReturnType<(typeof STEPS)[StepName]>>;
  try {
    outcome = await STEPS[step](run);
  } catch (reason) {
    return stepFailed(drive, row, DrError.from(reason));
  }
  run.problems.push(...outcome.problems);
  for (const message of outcome.problems) {
    run.tools.report({ type: 'problem', opId: run.opId, message });
  }
  const stage = outcome.problems.length > 0 ? 'partial' : 'after';
  const facts =
    stage === 'partial' ? { ...outcome.facts, problems: outcome.problems } : outcome.facts;
  try {
    await note(drive, row, stage, facts);
  } catch (reason) {
    await leaveWithoutStore(drive, reason);
  }
  return undefined;
}

async function stepFailed(drive: Drive, row: PlanRow, failure: DrError): Promise<DrError> {
  const { run } = drive;
  const facts = { code: failure.code, message: failure.message };
  await note(drive, row, 'failed', facts).catch((reason) => leaveWithoutStore(drive, reason));
  if (failure.code === 'IN_DOUBT') throw failure;
  if (failure.retry !== 'never') await run.tools.sleep(RETRY_PAUSE_MS);
  await run.observe();
  return failure;
}

async function note(drive: Drive, row: PlanRow, stage: StepStage, facts: StepFacts): Promise<void> {
  const { run, guard } = drive;
  const { journal, nowMs, report } = run.tools;
  const step = row.action as StepName;
  const record = { opId: run.opId, step, stage, atMs: nowMs(), facts };
  try {
    await journal.append(record, guard);
  } catch (reason) {
    if (!DrError.is(reason, 'LOCKED')) journal.remember(record);
    throw reason;
  }
  report({
    type: 'step',
    opId: run.opId,
    step,
    stage,
    atMs: record.atMs,
    why: row.why,
    detail: facts,
  });
}

/**
 * The control store failed. Lost lease: stop, another controller goes on. Lost store: forward after
 * the promotion, back before it, both by what the brokers say.
 */
async function leaveWithoutStore(drive: Drive, reason: unknown): Promise<void> {
  const failure = DrError.from(reason);
  if (failure.code === 'LOCKED') throw failure;
  const { run } = drive;
  const problem = `control store: ${failure.message}`;
  if (deciderState(run.view()) === 'promoted') {
    if (!run.problems.includes(problem)) run.problems.push(problem);
    return;
  }
  await STEPS['roll-back'](run);
  throw new DrError('ROLLED_BACK', `the control store was lost before the promotion; undone`, {
    hint: 'bring the control store back, then start again',
    cause: reason,
  });
}

async function finish(drive: Drive, outcome: 'done' | 'incomplete'): Promise<OperationResult> {
  const { run } = drive;
  const ended = await writeEnd(run, outcome);
  const result = resultOf(run, ended, outcome);
  if (outcome === 'done') return result;
  const missing = run.problems.join('; ');
  throw new DrError('INCOMPLETE', `${run.to} writes, but something is missing: ${missing}`, {
    hint: 'run `dr switchover resume` when it answers again',
    context: { result },
  });
}

async function rolledBack(
  drive: Drive,
  row: PlanRow,
  cause: DrError | undefined,
): Promise<OperationResult> {
  const { run, verb } = drive;
  const ended = await writeEnd(run, 'rolled-back');
  const result = resultOf(run, ended, 'rolled-back');
  if (verb === 'abort') return result;
  const because = cause ? ` (${cause.message})` : '';
  throw new DrError('ROLLED_BACK', `undone, ${run.from} writes again: ${row.why}${because}`, {
    hint:
      run.problems.length > 0
        ? `run \`dr switchover abort\` later: ${run.problems.join('; ')}`
        : '',
    context: { result, step: row.from },
    ...(cause ? { cause } : {}),
  });
}

async function writeEnd(run: Run, outcome: Outcome): Promise<Operation> {
  const ended: Operation = { ...run.operation, outcome, endedAtMs: run.tools.nowMs() };
  // Lost to a newer operation: that one is the truth, and this end needs no record.
  await run.tools.journal.write(ended).catch((reason: unknown) => {
    run.problems.push(`control store: ${DrError.from(reason).message}`);
    return false;
  });
  return ended;
}

export function resultOf(
  run: Run,
  operation: Operation,
  outcome: OperationResult['outcome'],
): OperationResult {
  const { fencedAtMs, promotedAtMs, canaryAtMs } = run;
  const isTimed = fencedAtMs !== undefined && promotedAtMs !== undefined;
  return {
    operation,
    outcome,
    epoch: outcome === 'rolled-back' ? operation.fromEpoch : operation.fromEpoch + 1,
    writePauseMs: isTimed ? promotedAtMs - fencedAtMs : undefined,
    rtoMs: canaryAtMs === undefined ? undefined : canaryAtMs - operation.startedAtMs,
    statement: run.tools.journal.progress().statement,
    problems: [...run.problems],
  };
}

/** What a `stop` row means to the operator. */
function stopError(run: Run, { phase, event, row }: Decision, failure?: DrError): DrError {
  const context = { opId: run.opId, phase, event };
  const cause = failure ? { cause: failure } : {};
  switch (row.to) {
    case 'in-doubt':
      return new DrError('IN_DOUBT', `${run.opId}: ${row.why}`, {
        hint: `when the brokers of ${run.to} answer again: dr switchover resume`,
        context,
        ...cause,
      });
    case 'superseded':
      return new DrError('DRIFTED', `${run.opId}: ${row.why}`, { context, ...cause });
    case 'stranded':
      return stranded(run, failure);
    default:
      return new DrError('REFUSED', `${run.opId}: ${row.why}`, { context, ...cause });
  }
}

function stranded(run: Run, failure: DrError | undefined): DrError {
  return new DrError('UNREACHABLE', `${run.opId} cannot be undone now: a broker does not answer`, {
    hint: `when ${run.from} answers: dr switchover abort; if it is lost: dr failover --to ${run.to}`,
    context: { opId: run.opId },
    ...(failure ? { cause: failure } : {}),
  });
}

/** The same step was refused again and again, and the plan has no other way from here. */
function stuck(run: Run, row: PlanRow, failure: DrError): DrError {
  const isPromoted = deciderState(run.view()) === 'promoted';
  const code = isPromoted || row.from === 'promoting' ? 'IN_DOUBT' : 'UNREACHABLE';
  return new DrError(code, `${run.opId} is stuck at ${row.action}: ${failure.message}`, {
    hint: 'look at the named broker, then run `dr switchover resume`',
    context: { opId: run.opId, phase: row.from },
    cause: failure,
  });
}

const noEffect = (row: PlanRow): DrError =>
  new DrError('REFUSED', `${row.action} was answered but had no effect in phase ${row.from}`);
