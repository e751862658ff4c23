// Records that a pull wants, grouped so that one read fetches those that lie near each other.
// Invariant: a stretch lies in one file of the log, so that one read can hold it.
// Source: ours.
import { LIMITS } from '../../base/index.ts';
import type { LogFiles } from '../log/log-files.ts';

/** Bytes between two records of one queue that are read along rather than skipped. */
const READ_GAP_BYTES = 8_192;

/** Records that lie near each other and are read in one go. */
export interface Stretch {
  from: number;
  to: number;
  fileStart: number;
  /** Offset and size of each record, alternating. */
  records: number[];
}

/** Adds a record behind those that are there. */
export function addToStretches(
  stretches: Stretch[],
  files: LogFiles,
  offset: number,
  size: number,
): void {
  const last = stretches.at(-1);
  const gap = last === undefined ? -1 : offset - last.to;
  const span = last === undefined ? 0 : offset + size - last.from;
  const isNear = gap >= 0 && gap <= READ_GAP_BYTES && span <= 4 * LIMITS.pullReplyBytesMax;
  if (last === undefined || !isNear || files.startOf(offset) !== last.fileStart) {
    const fileStart = files.startOf(offset);
    stretches.push({ from: offset, to: offset + size, fileStart, records: [offset, size] });
    return;
  }
  last.to = offset + size;
  last.records.push(offset, size);
}
