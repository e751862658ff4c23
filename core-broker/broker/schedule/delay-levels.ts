// The levels of messageDelayLevel: level n (from 1) waits a fixed time in queue n - 1 of the schedule
// topic. Changing the text moves messages that already wait to another delay, as in Apache.
import { DrError } from '../../base/index.ts';

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Delay in ms by level; index 0 is level 1. @throws DrError CONFIG */
export function parseDelayLevels(text: string): number[] {
  return text
    .trim()
    .split(/\s+/)
    .map((part) => {
      const match = /^(\d+)([smhd])$/.exec(part);
      if (!match) {
        throw new DrError(
          'CONFIG',
          `messageDelayLevel: '${part}' is not a number with s, m, h or d`,
        );
      }
      return Number(match[1]) * (UNIT_MS[match[2] as string] as number);
    });
}

/** Levels above the highest are the highest. */
export const clampLevel = (level: number, levels: readonly number[]): number =>
  Math.min(level, levels.length);
