// Compares two histories of one log and says where they part. Pure.
//   lineage = stretches [startOffset, next startOffset), each named by epoch and boot.
// Two stores hold the same bytes up to the point where their lists of stretches first differ: from there
// on somebody wrote bytes the other never had. A promotion and an abnormal boot of the writing side both
// open a stretch, so a log that lost its unflushed end in a power cut differs by list, not by luck.
// Invariant: a standby is never told to keep bytes beyond the common history, and never to cut into it.
// Source: switchover "Link" (same-epoch divergence); idea of Kafka's leader epochs.
import type { LineageEntry } from '../../../protocol/index.ts';

export interface StandbyHistory {
  epoch: number;
  /** Next byte the standby wants. */
  position: number;
  lineage: readonly LineageEntry[];
}

export interface SourceHistory {
  epoch: number;
  lineage: readonly LineageEntry[];
  minOffset: number;
  /** End of what the source may send. */
  maxOffset: number;
}

export type HistoryVerdict =
  | { verdict: 'resume' }
  | { verdict: 'truncate'; truncateTo: number }
  | { verdict: 'refused'; reason: string };

const refused = (reason: string): HistoryVerdict => ({ verdict: 'refused', reason });

/** What a standby has to do before it may copy from this source. */
export function compareHistories(standby: StandbyHistory, source: SourceHistory): HistoryVerdict {
  if (standby.epoch > source.epoch) {
    return refused(`the standby is at epoch ${standby.epoch}, newer than ${source.epoch} here`);
  }
  if (standby.position < source.minOffset && standby.position > 0) {
    return refused(overtaken(standby.position, source.minOffset));
  }
  const commonEnd = endOfCommonHistory(standby, source);
  if (commonEnd === undefined) {
    return refused('the standby knows a stretch of history this source never had');
  }
  if (standby.position > commonEnd) return cutTo(commonEnd, source.minOffset);
  if (standby.position > source.maxOffset) {
    return refused(`the standby is ahead: ${standby.position} of ${source.maxOffset} bytes`);
  }
  if (standby.position < source.minOffset) {
    return refused(overtaken(standby.position, source.minOffset));
  }
  return { verdict: 'resume' };
}

const overtaken = (position: number, minOffset: number): string =>
  `retention overtook the link: it wants byte ${position}, the first kept one is ${minOffset}`;

function cutTo(commonEnd: number, minOffset: number): HistoryVerdict {
  if (commonEnd >= minOffset) return { verdict: 'truncate', truncateTo: commonEnd };
  return refused(`histories part at byte ${commonEnd}, before the first kept one (${minOffset})`);
}

/**
 * First byte that is not common, Infinity when the standby's history is a beginning of the source's
 * that is still being written, undefined when the source lacks a stretch the standby has bytes of.
 */
function endOfCommonHistory(standby: StandbyHistory, source: SourceHistory): number | undefined {
  // A copy without history (a restored backup, a new store): the last record alone has to prove it.
  if (standby.lineage.length === 0) return Number.POSITIVE_INFINITY;
  const length = commonLength(standby.lineage, source.lineage);
  // The lowest start counts, not the first: a second power cut can lose a whole stretch.
  const mine = lowestStart(source.lineage.slice(length));
  const theirs = lowestStart(standby.lineage.slice(length));
  if (theirs === undefined) return mine ?? Number.POSITIVE_INFINITY;
  if (mine !== undefined) return Math.min(mine, theirs);
  // The standby saw a stretch this source does not list. Without bytes in it nothing is lost; with
  // bytes the source has gone back in time (an old copy of its files) and must not overwrite them.
  return standby.position <= theirs ? Number.POSITIVE_INFINITY : undefined;
}

const lowestStart = (stretches: readonly LineageEntry[]): number | undefined =>
  stretches.length === 0 ? undefined : Math.min(...stretches.map((one) => one.startOffset));

function commonLength(left: readonly LineageEntry[], right: readonly LineageEntry[]): number {
  let length = 0;
  while (length < left.length && isSame(left[length], right[length])) length++;
  return length;
}

const isSame = (left: LineageEntry | undefined, right: LineageEntry | undefined): boolean =>
  left !== undefined &&
  right !== undefined &&
  left.epoch === right.epoch &&
  left.boot === right.boot &&
  left.startOffset === right.startOffset;
