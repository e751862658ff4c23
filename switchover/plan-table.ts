// The switch as a table: in which phase, on which event, which action leads where, and why.
// This is the whole control flow; the controller only looks it up. `to` is the phase when the action
// succeeded. Events with a failure in them come from the brokers' answers, never from a guess.
// Invariants, tested over every row: nothing before `promote` opens a second region; nothing after a
// promotion undoes; every phase has a row for each event that can occur in it.
import type { StepName } from './journal.ts';

/** Where an operation stands, derived from the brokers' answers and then the journal. */
export type Phase =
  | 'idle'
  | 'catching-up'
  | 'level'
  | 'fenced'
  | 'sealed'
  | 'drained'
  | 'accepted'
  | 'cut-off'
  | 'halted'
  | 'assessed'
  | 'synced'
  | 'promoting'
  | 'promoted'
  | 'flipped'
  | 'relaying'
  | 'verified'
  | 'reversed'
  | 'rolling-back'
  | 'done'
  | 'incomplete'
  | 'rolled-back'
  | 'refused'
  | 'in-doubt'
  | 'stranded'
  | 'superseded';

/**
 * ok: go on · refused: a check or a broker said no · late: the deadline passed ·
 * loss-not-accepted: failover without the flag · standby-says-no: asked, it did not promote ·
 * standby-silent: promotion sent, nobody answers · source-silent: the old side cannot be undone now ·
 * epoch-moved: another operation made a higher epoch · missing: done, something was not reached ·
 * nothing: there is no operation
 */
export type PlanEvent =
  | 'ok'
  | 'refused'
  | 'late'
  | 'loss-not-accepted'
  | 'standby-says-no'
  | 'standby-silent'
  | 'source-silent'
  | 'epoch-moved'
  | 'missing'
  | 'nothing';

/** Steps that are journaled, plus the two ends that only report. */
export type Action = StepName | 'begin' | 'stop' | 'finish';

export type Mode = 'planned' | 'failover' | 'abort';

export interface PlanRow {
  mode: Mode;
  from: Phase;
  on: PlanEvent;
  to: Phase;
  action: Action;
  why: string;
}

type Line = readonly [from: Phase, on: PlanEvent, to: Phase, action: Action, why: string];

const EPOCH_MOVED = 'another operation made a higher epoch; brokers obey that one';
const UNDO_LATE = 'the write pause is used up before the point of no return: undo';
const UNDO_REFUSED = 'a broker refused before the point of no return: undo';
const ASK_AGAIN = 'asked, the standby did not promote: the same promotion again is safe';
const NEVER_ASSUME = 'a promotion was sent and nobody can say whether it happened';

const PLANNED: readonly Line[] = [
  ['idle', 'refused', 'refused', 'stop', 'pre-flight found a reason; nothing was touched'],
  ['idle', 'ok', 'catching-up', 'begin', 'pre-flight is clean: the operation gets its id'],
  ['catching-up', 'ok', 'level', 'catch-up', 'shrink the lag while writes flow'],
  ['level', 'ok', 'fenced', 'fence', 'nearly level: park sends for a bounded time'],
  ['catching-up', 'late', 'rolled-back', 'roll-back', 'never level while writes flow: stop'],
  ['catching-up', 'refused', 'rolled-back', 'roll-back', UNDO_REFUSED],
  ['fenced', 'ok', 'sealed', 'seal', 'a durable end gives the token that proves it'],
  ['sealed', 'ok', 'drained', 'drain', 'the standby must hold every byte below the sealed end'],
  ['drained', 'ok', 'halted', 'halt', 'nothing may move the copy between the proof and promotion'],
  ['halted', 'ok', 'synced', 'final-sync', 'offsets of the sealed side are final now'],
  ['synced', 'ok', 'promoted', 'promote', 'the standby compares the token and takes epoch + 1'],
  ...(['level', 'fenced', 'sealed', 'drained', 'halted', 'synced'] as const).flatMap(
    (from): Line[] => [
      [from, 'late', 'rolled-back', 'roll-back', UNDO_LATE],
      [from, 'refused', 'rolled-back', 'roll-back', UNDO_REFUSED],
      [from, 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
    ],
  ),
  ['catching-up', 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
  [
    'relaying',
    'ok',
    'verified',
    'canary',
    'one stored message proves that the region takes writes',
  ],
  ['verified', 'ok', 'reversed', 'reverse', 'the old side follows: its log is a prefix'],
  ['reversed', 'ok', 'done', 'finish', 'every step is done'],
  ['reversed', 'missing', 'incomplete', 'finish', 'writes flow; something was not reached'],
];

const FAILOVER: readonly Line[] = [
  ['idle', 'refused', 'refused', 'stop', 'the standby cannot be promoted; nothing was touched'],
  ['idle', 'loss-not-accepted', 'refused', 'stop', 'the loss was stated and not accepted'],
  ['idle', 'ok', 'accepted', 'begin', 'the loss is accepted: the operation gets its id'],
  ['accepted', 'ok', 'cut-off', 'cut-off', 'if the old side still answers it is sealed'],
  ['cut-off', 'ok', 'halted', 'halt', 'the end from which the promotion starts stands still'],
  ['halted', 'ok', 'assessed', 'assess', 'the statement is final and journaled before the act'],
  ['assessed', 'ok', 'promoted', 'promote', 'the standby takes epoch + 1 from its validated end'],
  ...(['accepted', 'cut-off', 'halted', 'assessed'] as const).flatMap((from): Line[] => [
    [from, 'refused', 'rolled-back', 'roll-back', UNDO_REFUSED],
    [from, 'late', 'rolled-back', 'roll-back', 'the standby stopped answering: undo'],
    [from, 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
  ]),
  [
    'relaying',
    'ok',
    'verified',
    'canary',
    'one stored message proves that the region takes writes',
  ],
  ['verified', 'ok', 'done', 'finish', 'the old side is deposed when it comes back'],
  ['verified', 'missing', 'incomplete', 'finish', 'writes flow; something was not reached'],
];

/** Rows that planned and forced switches share: the promotion, what follows it, and undoing. */
const SHARED: readonly Line[] = [
  ['promoting', 'ok', 'promoted', 'promote', 'one broker of the region is promoted: all follow'],
  ['promoting', 'standby-says-no', 'promoted', 'promote', ASK_AGAIN],
  ['promoting', 'refused', 'rolled-back', 'roll-back', 'the standby refused the promotion: undo'],
  ['promoting', 'late', 'rolled-back', 'roll-back', 'the promotion never arrives: take it back'],
  ['promoting', 'standby-silent', 'in-doubt', 'stop', NEVER_ASSUME],
  ['promoting', 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
  ['promoted', 'ok', 'flipped', 'flip', 'routes and gateways name the new region'],
  ['flipped', 'ok', 'relaying', 'relay', 'clients still at the old side are spliced over'],
  ...(['promoted', 'flipped', 'relaying', 'verified', 'reversed'] as const).map(
    (from): Line => [from, 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
  ),
  ...undoing(),
];

/** Phases in which an operation exists. */
const ABORTABLE = [
  'catching-up',
  'level',
  'fenced',
  'sealed',
  'drained',
  'accepted',
  'cut-off',
  'halted',
  'assessed',
  'synced',
  'promoting',
  'promoted',
  'flipped',
  'relaying',
  'verified',
  'reversed',
] as const;

const ABORT: readonly Line[] = [
  ['idle', 'nothing', 'refused', 'stop', 'there is nothing to abort'],
  ...(['catching-up', 'level', 'fenced', 'accepted', 'cut-off'] as const).map(
    (from): Line => [from, 'ok', 'rolled-back', 'roll-back', 'parked sends are appended'],
  ),
  ...(['sealed', 'drained', 'halted', 'assessed', 'synced'] as const).map(
    (from): Line => [from, 'ok', 'rolled-back', 'roll-back', 'unsealed by the same operation'],
  ),
  ['promoting', 'standby-says-no', 'rolled-back', 'roll-back', 'the standby gives the id up first'],
  ['promoting', 'standby-silent', 'in-doubt', 'stop', NEVER_ASSUME],
  ['promoting', 'ok', 'refused', 'stop', 'a broker is promoted: only a new switch goes back'],
  ...(['promoted', 'flipped', 'relaying', 'verified', 'reversed'] as const).map(
    (from): Line => [from, 'ok', 'refused', 'stop', 'promoted: only a new switch goes back'],
  ),
  ...ABORTABLE.map((from): Line => [from, 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED]),
  ...undoing(),
];

function undoing(): Line[] {
  return [
    ['rolling-back', 'ok', 'rolled-back', 'roll-back', 'link first, then the old side opens'],
    ['rolling-back', 'standby-silent', 'in-doubt', 'stop', NEVER_ASSUME],
    [
      'rolling-back',
      'source-silent',
      'stranded',
      'stop',
      'the old side must be reached to open it',
    ],
    ['rolling-back', 'epoch-moved', 'superseded', 'stop', EPOCH_MOVED],
  ];
}

const rows = (mode: Mode, lines: readonly Line[]): PlanRow[] =>
  lines.map(([from, on, to, action, why]) => ({ mode, from, on, to, action, why }));

/** Every row, in the order of a run. */
export const PLAN: readonly PlanRow[] = [
  ...rows('planned', [...PLANNED, ...SHARED]),
  ...rows('failover', [...FAILOVER, ...SHARED]),
  ...rows('abort', ABORT),
];

/** Phases in which an operation has ended or stopped. */
export const FINAL_PHASES: ReadonlySet<Phase> = new Set<Phase>([
  'done',
  'incomplete',
  'rolled-back',
  'refused',
  'in-doubt',
  'stranded',
  'superseded',
]);
