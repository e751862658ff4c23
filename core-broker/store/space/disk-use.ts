// How full the disk of a folder is, counted as Apache counts it: what others than root can use.
// Source: RocketMQ UtilAll.getDiskPartitionSpaceUsedPercent, behaviour only.
import * as fs from 'node:fs';

export interface DiskUse {
  /** 0 to 1, in whole percent, rounded up. */
  usedRatio: number;
  freeBytes: number;
}

export function diskUse(folder: string): DiskUse {
  const { blocks, bfree, bavail, bsize } = fs.statfsSync(folder);
  const used = blocks - bfree;
  const usable = used + bavail;
  const usedRatio = usable === 0 ? 0 : Math.ceil((used * 100) / usable) / 100;
  return { usedRatio, freeBytes: bavail * bsize };
}
