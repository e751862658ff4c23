// The pure choice of the next action: phase and event of a snapshot, looked up in the plan table.
// No I/O; time, deadlines and the last failure are arguments. `mermaid()` prints the table.
import type { DrError, ErrorCode } from '../core-broker/base/index.ts';
import type { OperationKind } from './journal.ts';
import { type ClusterView, deciderState, hasEpochMoved, isSealedBy, phaseOf } from './phase.ts';
import { type Mode, type Phase, PLAN, type PlanEvent, type PlanRow } from './plan-table.ts';

export interface Intent {
  verb: 'switchover' | 'failover' | 'resume' | 'abort';
  acceptDataLoss: boolean;
  /** False: a pre-flight check failed. Looked at only while there is no operation. */
  isClear: boolean;
  /** Deadline of the current phase, on the clock of view.nowMs; undefined = none. */
  deadlineMs: number | undefined;
  /** How the last action failed, if it did. */
  failure: DrError | undefined;
  hasProblems: boolean;
}

export interface Decision {
  phase: Phase;
  event: PlanEvent;
  row: PlanRow;
}

/** Failures that do not pass by waiting: the broker said no. */
const DEFINITE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'REFUSED',
  'VERIFY_FAILED',
  'FENCED',
  'AUTH',
  'CORRUPT',
  'PROTOCOL',
  'REMOTE',
  'CONFIG',
  'USAGE',
  'UNEXPECTED',
]);

/** Chooses the next row. Total over every reachable (mode, phase, event): tested. */
export function decide(view: ClusterView, intent: Intent): Decision {
  const phase = phaseOf(view);
  const event = eventOf(phase, view, intent);
  const mode = modeOf(view, intent);
  const row = PLAN.find((line) => line.mode === mode && line.from === phase && line.on === event);
  if (!row) throw new Error(`the plan has no row for ${mode}: ${phase} on ${event}`);
  return { phase, event, row };
}

function modeOf(view: ClusterView, intent: Intent): Mode {
  if (intent.verb === 'abort') return 'abort';
  const kinds: Record<string, OperationKind> = { failover: 'failover' };
  return view.operation?.kind ?? kinds[intent.verb] ?? 'planned';
}

function eventOf(phase: Phase, view: ClusterView, intent: Intent): PlanEvent {
  const { operation } = view;
  if (phase === 'idle' || !operation) return idleEvent(intent);
  if (hasEpochMoved(view, operation)) return 'epoch-moved';
  if (phase === 'promoting') return promotingEvent(view, intent);
  if (phase === 'rolling-back') return undoingEvent(view);
  const isLast = phase === (operation.kind === 'planned' ? 'reversed' : 'verified');
  const isPromoted = deciderState(view) === 'promoted';
  if (intent.verb === 'abort') return 'ok';
  if (isPromoted) return isLast && intent.hasProblems ? 'missing' : 'ok';
  if (intent.failure && DEFINITE.has(intent.failure.code)) return 'refused';
  return isLate(view, intent) ? 'late' : 'ok';
}

function idleEvent(intent: Intent): PlanEvent {
  if (intent.verb === 'abort') return 'nothing';
  if (!intent.isClear) return 'refused';
  return intent.verb === 'failover' && !intent.acceptDataLoss ? 'loss-not-accepted' : 'ok';
}

function promotingEvent(view: ClusterView, intent: Intent): PlanEvent {
  const decider = deciderState(view);
  if (decider === 'silent') return 'standby-silent';
  if (decider === 'promoted') return 'ok';
  if (intent.verb === 'abort') return 'standby-says-no';
  // An old side that is open again is past its token: promoting now would drop what it appended.
  if (view.operation?.kind === 'planned' && isSourceOpen(view)) return 'refused';
  if (intent.failure && DEFINITE.has(intent.failure.code)) return 'refused';
  return isLate(view, intent) ? 'late' : 'standby-says-no';
}

const isSourceOpen = (view: ClusterView): boolean =>
  view.pairs.some(
    ({ source }) => source && view.operation && !isSealedBy(source, view.operation.opId),
  );

function undoingEvent(view: ClusterView): PlanEvent {
  const { operation, progress } = view;
  const mayBePromoted = progress.begun.has('promote') || operation?.isRebuilt === true;
  if (mayBePromoted && deciderState(view) === 'silent') return 'standby-silent';
  if (operation?.kind === 'failover') return 'ok';
  const mayBeSealed = progress.begun.has('seal') || operation?.isRebuilt === true;
  const isSilent = view.pairs.some(({ source }) => !source);
  return mayBeSealed && isSilent ? 'source-silent' : 'ok';
}

const isLate = (view: ClusterView, intent: Intent): boolean =>
  intent.deadlineMs !== undefined && view.nowMs > intent.deadlineMs;

/** The rows a run without trouble passes, in order: what `dr switchover plan` shows. */
export function happyPath(kind: OperationKind): PlanRow[] {
  const path: PlanRow[] = [];
  for (let phase: Phase = 'idle'; phase !== 'done'; ) {
    const row = PLAN.find((line) => line.mode === kind && line.from === phase && line.on === 'ok');
    if (!row || path.includes(row)) throw new Error(`the plan has no way on from ${phase}`);
    path.push(row);
    phase = row.to;
  }
  return path;
}

/** The plan of one mode as a Mermaid state diagram; equal rows of one pair of phases share an edge. */
export function mermaid(mode: Mode = 'planned'): string {
  const edges = new Map<string, string[]>();
  for (const row of PLAN.filter((line) => line.mode === mode)) {
    const edge = `${row.from} --> ${row.to}`;
    edges.set(edge, [...(edges.get(edge) ?? []), `${row.on} / ${row.action}`]);
  }
  const lines = [...edges].map(([edge, labels]) => `  ${edge}: ${labels.join(', ')}`);
  return ['stateDiagram-v2', ...lines.map((line) => line.replace(/(\w)-(?=\w)/g, '$1_'))].join(
    '\n',
  );
}
