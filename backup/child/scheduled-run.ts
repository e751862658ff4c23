// What a scheduled run does: archive, check that what was stored is there, let old backups go.
// Order: prune comes last and only after a run without a gap or damage, so that a store that rots never
// costs a sound backup.
import { DrError } from '../../core-broker/base/index.ts';
import { createBackup } from '../backup.ts';
import type { BackupConfig } from '../config.ts';
import { Gate } from '../segment/index.ts';
import type { SnapshotResult } from '../snapshot/index.ts';

export interface ScheduledRun {
  config: BackupConfig;
  rootDir: string;
  commitLogDir?: string;
}

/** What a daemon tells a run that is under way: stand still for so long from now. */
export interface PauseMessage {
  pauseMs: number;
}

/** With how often and how long it stood still for the broker. */
export type ScheduledRunResult = SnapshotResult & {
  deleted: string[];
  pauses: number;
  pausedMs: number;
};

/**
 * One whole scheduled run.
 * @throws DrError VERIFY_FAILED (damaged records, missing segments) or INCOMPLETE (a gap): a restore point
 *   exists and says so, and nothing was deleted; anything createBackup and run throw
 */
export async function scheduledRun(
  request: ScheduledRun,
  signal?: AbortSignal,
  gate = new Gate(),
): Promise<ScheduledRunResult> {
  const { config, rootDir, commitLogDir } = request;
  const backup = await createBackup({ config });
  try {
    const where = commitLogDir === undefined ? { rootDir } : { rootDir, commitLogDir };
    const made = await backup.run({ ...where, gate, ...(signal ? { signal } : {}) });
    const { code, problems } = await backup.verify({
      id: made.id,
      storeId: made.storeId,
      depth: 'listed',
    });
    if (code !== undefined) {
      const [worst] = problems.filter(({ kind }) => code === 'INCOMPLETE' || kind !== 'gap');
      const text = worst ? `${worst.at}: ${worst.text}` : 'not provable';
      throw new DrError(code, `${made.id}: ${text}`, { context: { problems } });
    }
    const { deleted } = await backup.prune({ dryRun: false });
    return { ...made, deleted, ...gate.tally };
  } finally {
    backup.close();
  }
}
