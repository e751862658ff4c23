// What a restore will fetch, decided from the manifest alone. Pure.
// A cut by offset or time keeps whole files up to the one that holds the cut; the exact record boundary
// is found by the scan of the restored bytes.
import { DrError } from '../../core-broker/base/index.ts';
import type { Manifest, ManifestFile } from '../manifest.ts';

/** Keep records that end at or before an offset, or that were stored at or before a time. */
export type RestoreCut = { toOffset: number } | { toTimeMs: number } | undefined;

export interface RestorePlan {
  files: ManifestFile[];
  cut: RestoreCut;
  rawBytes: number;
  storedBytes: number;
}

/**
 * @throws DrError INCOMPLETE when the part asked for has a gap; REFUSED when the cut is outside the log
 */
export function planRestore(manifest: Manifest, cut: RestoreCut): RestorePlan {
  const { log } = manifest;
  if (cut && 'toOffset' in cut && (cut.toOffset < log.min || cut.toOffset > log.max)) {
    throw new DrError('REFUSED', `offset ${cut.toOffset} is outside of the backup`, {
      hint: `this backup holds ${log.min} to ${log.max}`,
    });
  }
  const first = manifest.files[0]?.firstStoreTimestampMs ?? 0;
  if (cut && 'toTimeMs' in cut && cut.toTimeMs < first) {
    throw new DrError('REFUSED', `the backup begins at ${new Date(first).toISOString()}`);
  }
  const files = manifest.files.filter((file, i) => i === 0 || isBefore(file, cut));
  const end = endOf(files) ?? log.min;
  const gap = log.gaps.find((candidate) => candidate.from < end);
  if (gap) {
    throw new DrError('INCOMPLETE', `the backup has a gap from ${gap.from} to ${gap.to}`, {
      hint: `restore what is before it with --to-offset ${gap.from}`,
      context: { gaps: log.gaps },
    });
  }
  refuseDamage(manifest, files, cut);
  const segments = [...files, ...manifest.metadata].flatMap((part) => part.segments);
  return {
    files,
    cut,
    rawBytes: segments.reduce((sum, segment) => sum + segment.rawBytes, 0),
    storedBytes: segments.reduce((sum, segment) => sum + segment.storedBytes, 0),
  };
}

/** A cut by time may lie before damage in the last file it needs: there the scan decides. */
function refuseDamage({ log }: Manifest, files: readonly ManifestFile[], cut: RestoreCut): void {
  const end =
    cut && 'toOffset' in cut
      ? cut.toOffset
      : ((cut ? files.at(-1)?.startOffset : endOf(files)) ?? log.min);
  const found = log.damage.find((damage) => damage.from < end);
  if (!found) return;
  throw new DrError('INCOMPLETE', `${found.file}: no valid record from ${found.from} on`, {
    hint: `restore what is before it with --to-offset ${found.from}, or an earlier backup`,
    context: { damage: log.damage },
  });
}

function isBefore(file: ManifestFile, cut: RestoreCut): boolean {
  if (!cut) return true;
  if ('toOffset' in cut) return file.startOffset < cut.toOffset;
  return file.firstStoreTimestampMs === null || file.firstStoreTimestampMs <= cut.toTimeMs;
}

function endOf(files: readonly ManifestFile[]): number | undefined {
  const last = files.at(-1);
  return last === undefined ? undefined : last.startOffset + last.dataBytes;
}

/** True when the record lies behind the cut. */
export function isBeyond(
  cut: RestoreCut,
  record: { end: number; storeTimestampMs: number },
): boolean {
  if (!cut) return false;
  return 'toOffset' in cut ? record.end > cut.toOffset : record.storeTimestampMs > cut.toTimeMs;
}
