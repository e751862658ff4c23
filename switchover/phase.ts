// Where an operation stands: the brokers' answers first, the journal only for what brokers cannot say
// (which flip, relay and canary were done, and whether a promotion may be on its way). Pure.
// The first broker in name order is the *decider*: it is promoted first and gives an operation up
// first, so one compare-and-set in one file decides for the whole region.
import type { DrStatus, FlipResult } from '../core-broker/protocol/index.ts';
import type { Operation, Progress } from './journal.ts';
import type { Phase } from './plan-table.ts';

/** One broker name in both regions; undefined = did not answer. */
export interface PairView {
  brokerName: string;
  source: DrStatus | undefined;
  target: DrStatus | undefined;
}

export interface FlipView {
  kind: 'global-nameserver' | 'gateway';
  address: string;
  status: FlipResult | undefined;
}

/** Everything the plan looks at; a snapshot. */
export interface ClusterView {
  nowMs: number;
  from: string;
  to: string;
  /** Sorted by broker name; never empty. */
  pairs: PairView[];
  /** Broker names that only one region has. */
  unpaired: string[];
  flips: FlipView[];
  /** Topics whose queue counts differ, as sentences. */
  topicMismatches: string[];
  operation: Operation | undefined;
  progress: Progress;
  /** The standby counts as nearly level at or below this lag, bytes. */
  fenceLagBytes: number;
}

/** What one standby broker says about the promotion of an operation. */
export type TargetState = 'silent' | 'standby' | 'promoted' | 'moved';

export function targetState(target: DrStatus | undefined, operation: Operation): TargetState {
  if (!target) return 'silent';
  if (target.epoch <= operation.fromEpoch) return target.role === 'standby' ? 'standby' : 'moved';
  const isNextEpoch = target.epoch === operation.fromEpoch + 1;
  const isOurs = isNextEpoch && target.role === 'active' && target.opId === operation.opId;
  return isOurs && target.writeState !== 'deposed' ? 'promoted' : 'moved';
}

/** True when a higher epoch exists that this operation did not make. */
export function hasEpochMoved(view: ClusterView, operation: Operation): boolean {
  return view.pairs.some(({ source, target }) => {
    if (targetState(target, operation) === 'moved') return true;
    if (!source) return false;
    if (source.activeEpoch > operation.fromEpoch + 1) return true;
    return source.activeEpoch === operation.fromEpoch + 1 && source.activeRegion !== operation.to;
  });
}

/** Phase of the operation in `view`; `idle` without one. */
export function phaseOf(view: ClusterView): Phase {
  const { operation, progress } = view;
  if (!operation) return 'idle';
  if (operation.outcome) return operation.outcome;
  const decider = deciderState(view);
  if (decider === 'promoted') return phaseAfterPromotion(view, operation);
  if (progress.begun.has('roll-back')) return 'rolling-back';
  if (progress.begun.has('promote')) return 'promoting';
  // A forgotten operation may have sent its promotion: without the standby's word nobody knows.
  if (operation.isRebuilt && decider === 'silent') return 'promoting';
  return operation.kind === 'planned'
    ? plannedPhase(view, operation)
    : failoverPhase(view, operation);
}

/** What the decider says; a silent one whose promotion was answered once counts as promoted. */
export function deciderState(view: ClusterView): TargetState {
  const { operation, progress, pairs } = view;
  const first = pairs[0];
  if (!operation || !first) return 'silent';
  const state = targetState(first.target, operation);
  return state === 'silent' && progress.done.has('promote') ? 'promoted' : state;
}

function phaseAfterPromotion(view: ClusterView, operation: Operation): Phase {
  const { done } = view.progress;
  const isWhole = view.pairs.every(({ target }) => targetState(target, operation) === 'promoted');
  if (!isWhole && !done.has('promote')) return 'promoting';
  if (!done.has('flip')) return 'promoted';
  if (!done.has('relay')) return 'flipped';
  if (!done.has('canary')) return 'relaying';
  if (operation.kind === 'failover' || !done.has('reverse')) return 'verified';
  return 'reversed';
}

function plannedPhase(view: ClusterView, operation: Operation): Phase {
  const { done, tokens } = view.progress;
  const isSealed = view.pairs.every(({ brokerName, source }) => {
    if (!tokens[brokerName]) return false;
    return source ? isSealedBy(source, operation.opId) : done.has('seal');
  });
  if (isSealed) {
    if (areLinksHalted(view, operation)) return done.has('final-sync') ? 'synced' : 'halted';
    const isLevel = view.pairs.every(
      ({ brokerName, target }) => target?.maxOffset === tokens[brokerName]?.logEnd,
    );
    return isLevel ? 'drained' : 'sealed';
  }
  const isFenced = view.pairs.some(({ source }) => source && isClosedBy(source, operation.opId));
  if (isFenced) return 'fenced';
  return isNearlyLevel(view) ? 'level' : 'catching-up';
}

function failoverPhase(view: ClusterView, operation: Operation): Phase {
  const { done } = view.progress;
  if (!done.has('cut-off')) return 'accepted';
  if (!areLinksHalted(view, operation)) return 'cut-off';
  return done.has('assess') ? 'assessed' : 'halted';
}

/** Every link runs and is at most view.fenceLagBytes behind. */
export const isNearlyLevel = (view: ClusterView): boolean =>
  view.pairs.every(({ target }) => {
    const link = target?.link;
    if (!link || (link.state !== 'following' && link.state !== 'catching-up')) return false;
    return link.sampledAtMs > 0 && link.lagBytes <= view.fenceLagBytes;
  });

const areLinksHalted = (view: ClusterView, operation: Operation): boolean =>
  view.pairs.every(({ target }) => isHaltedBy(target, operation.opId));

export const isSealedBy = (status: DrStatus, opId: string): boolean =>
  status.writeState === 'sealed' && status.opId === opId;

/** Fenced or sealed by this operation. */
export const isClosedBy = (status: DrStatus, opId: string): boolean =>
  (status.writeState === 'fenced' || status.writeState === 'sealed') && status.opId === opId;

export const isHaltedBy = (status: DrStatus | undefined, opId: string): boolean =>
  status?.link?.state === 'halted' && status.link.haltedBy === opId;
