// Which backups may go. The choice is pure; the deletion follows it in a safe order.
// Invariants: a backup that is better proven than every newer one is never deleted, whatever the policy
// says: rot that reached the newer ones must not push out the sound one. A segment named by any remaining manifest is never deleted; while one manifest cannot be
// read nobody knows what it names, so no segment is deleted at all.
import { DrError } from '../../core-broker/base/index.ts';
import { isProven, isWhole, type Manifest, segmentsOf } from '../manifest.ts';
import type { ObjectInfo } from '../object-store/index.ts';
import { type ManifestEntry, missingSegments, type Repository } from './repository.ts';
import { markPrune } from './work-marks.ts';

export interface KeepPolicy {
  /** Newest backups to keep, per store. */
  last: number;
  /** Newest backup of each of so many days (UTC), per store. */
  daily: number;
  /** Everything younger than this. */
  withinHours: number;
}

export interface PrunePlan {
  delete: ManifestEntry[];
  keep: { entry: ManifestEntry; why: string }[];
}

/** Chooses per store. Pure: `nowMs` and what is present are arguments. */
export function planRetention(
  entries: readonly ManifestEntry[],
  policy: KeepPolicy,
  facts: { nowMs: number; present: ReadonlyMap<string, ObjectInfo> },
): PrunePlan {
  const plan: PrunePlan = { delete: [], keep: [] };
  for (const storeId of new Set(entries.map((entry) => entry.storeId))) {
    const mine = entries.filter((entry) => entry.storeId === storeId);
    const reasons = reasonsToKeep(mine, policy, facts);
    for (const entry of mine) {
      const why = reasons.get(entry);
      if (why === undefined) plan.delete.push(entry);
      else plan.keep.push({ entry, why });
    }
  }
  return plan;
}

function reasonsToKeep(
  entries: readonly ManifestEntry[],
  policy: KeepPolicy,
  facts: { nowMs: number; present: ReadonlyMap<string, ObjectInfo> },
): Map<ManifestEntry, string> {
  const reasons = new Map<ManifestEntry, string>();
  const keep = (entry: ManifestEntry | undefined, why: string) => {
    if (entry && !reasons.has(entry)) reasons.set(entry, why);
  };
  const newest = [...entries].reverse();
  const good = newest.filter((entry) => rank(entry.manifest, facts.present) >= RANK.whole);
  let best: number = RANK.useless;
  for (const entry of newest) {
    const own = rank(entry.manifest, facts.present);
    if (own > best) keep(entry, own >= RANK.whole ? 'last good one' : 'better than the newer ones');
    best = Math.max(best, own);
  }
  for (const entry of newest.slice(0, policy.last)) keep(entry, `one of the last ${policy.last}`);
  const days = new Map<string, ManifestEntry>();
  for (const entry of good) {
    const day = new Date(entry.manifest?.createdMs ?? 0).toISOString().slice(0, 10);
    if (!days.has(day)) days.set(day, entry);
  }
  for (const [day, entry] of [...days].slice(0, policy.daily)) keep(entry, `daily of ${day}`);
  for (const entry of entries) {
    // A damaged manifest is evidence, and what it names is unknown: the operator deletes it by hand.
    if (!entry.manifest) keep(entry, 'damaged: look at it first');
    const ageMs = facts.nowMs - (entry.manifest?.createdMs ?? facts.nowMs);
    if (ageMs < policy.withinHours * 3_600_000) keep(entry, `younger than ${policy.withinHours} h`);
  }
  return reasons;
}

/** How much a backup is worth; higher is better. */
const RANK = {
  /** Unreadable, or segments are missing. */
  useless: 0,
  /** All that was archived is there, with gaps or damage. */
  partial: 1,
  /** Nothing is known to be wrong. */
  whole: 2,
  /** Every record was proven while it was archived. */
  proven: 3,
} as const;

function rank(manifest: Manifest | undefined, present: ReadonlyMap<string, ObjectInfo>): number {
  if (!manifest || missingSegments(segmentsOf(manifest), present).length > 0) return RANK.useless;
  if (isProven(manifest)) return RANK.proven;
  return isWhole(manifest) ? RANK.whole : RANK.partial;
}

export interface PruneResult {
  isDryRun: boolean;
  deleted: string[];
  kept: { id: string; storeId: string; why: string }[];
  segmentsDeleted: number;
  bytesFreed: number;
  /** Why segments were left although nothing names them. */
  warnings: string[];
}

/**
 * Applies a policy. Order: manifests first, then segments that no manifest names: a crash between
 * leaves orphans for the next prune, never a manifest without its segments.
 * @throws DrError LOCKED while a backup runs
 */
export async function prune(
  repository: Repository,
  policy: KeepPolicy,
  options: { dryRun: boolean; nowMs: number },
): Promise<PruneResult> {
  const mark = options.dryRun ? undefined : await markPrune(repository.store);
  try {
    const entries = await repository.listManifests();
    const present = await repository.listSegments();
    const plan = planRetention(entries, policy, { nowMs: options.nowMs, present });
    const kept = plan.keep.map(({ entry, why }) => ({ id: entry.id, storeId: entry.storeId, why }));
    const orphans = findOrphans(plan, present);
    if (!options.dryRun) {
      await repository.deleteManifests(plan.delete);
      await repository.deleteSegments(orphans.ids);
    }
    return {
      isDryRun: options.dryRun,
      deleted: plan.delete.map((entry) => entry.id),
      kept,
      segmentsDeleted: orphans.ids.length,
      bytesFreed: orphans.bytes,
      warnings: orphans.warnings,
    };
  } finally {
    await mark?.release();
  }
}

function findOrphans(plan: PrunePlan, present: ReadonlyMap<string, ObjectInfo>) {
  const damaged = plan.keep.filter(({ entry }) => entry.problem !== undefined);
  if (damaged.length > 0) {
    const names = damaged.map(({ entry }) => entry.id).join(', ');
    const warnings = [`no segment was deleted: unreadable manifests (${names}) may name them`];
    return { ids: [], bytes: 0, warnings };
  }
  const named = new Set(
    plan.keep.flatMap(({ entry }) =>
      entry.manifest ? segmentsOf(entry.manifest).map((segment) => segment.id) : [],
    ),
  );
  const orphans = [...present].filter(([id]) => !named.has(id));
  const bytes = orphans.reduce((sum, [, info]) => sum + info.sizeBytes, 0);
  return { ids: orphans.map(([id]) => id), bytes, warnings: [] };
}

/** Refuses a policy that would keep nothing. @throws DrError USAGE */
export function checkPolicy(policy: KeepPolicy): KeepPolicy {
  if (policy.last + policy.daily + policy.withinHours > 0) return policy;
  throw new DrError('USAGE', 'this policy keeps nothing: set last, daily or withinHours');
}
