// Walks one log file from end to end and lists every stretch that is no valid record. Slow on purpose:
// only files whose ranges did not join are walked again, from one known start, with every CRC.
import { endOfDamage, type ScanInput, scanFile } from '../log/index.ts';
import type { Damage } from '../manifest.ts';
import { SEGMENT_BYTES } from '../segment/index.ts';

export interface FileWalk {
  damage: Damage[];
  /** Physical offset of the first record, or blank marker, that begins in each range of the file. */
  firsts: (number | undefined)[];
}

export async function walkFile(
  path: string,
  file: { name: string; startOffset: number; dataBytes: number },
): Promise<FileWalk> {
  const walk: FileWalk = { damage: [], firsts: [] };
  const { startOffset, dataBytes } = file;
  const input: ScanInput = { path, startOffset, sizeBytes: dataBytes };
  const end = startOffset + dataBytes;
  for (let from = startOffset; from < end; ) {
    let next = from;
    const note = (physicalOffset: number) => {
      const range = Math.floor((physicalOffset - startOffset) / SEGMENT_BYTES);
      walk.firsts[range] ??= physicalOffset;
    };
    const scan = await scanFile({ ...input, from }, ({ view, physicalOffset }) => {
      note(physicalOffset);
      next = physicalOffset + view.sizeBytes;
      return true;
    });
    if (scan.stop === 'blank') note(next);
    if (scan.end >= end) break;
    const to = (await endOfDamage(input, scan.end)) ?? end;
    walk.damage.push({ file: file.name, from: scan.end, to });
    from = to;
  }
  return walk;
}
