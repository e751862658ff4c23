// What a probe of the doctor says: one line with a state, what was seen, and what to do about it.

export type FindingState = 'ok' | 'warn' | 'bad';

export interface Finding {
  /** Group of checks: ports, limits, disk, clock, ... */
  area: string;
  check: string;
  state: FindingState;
  seen: string;
  /** What to do; empty when nothing is. */
  advice: string;
}

export const finding = (
  area: string,
  check: string,
  [state, seen, advice = '']: readonly [FindingState, string, string?],
): Finding => ({ area, check, state, seen, advice: state === 'ok' ? '' : advice });

/** The state of a value that is better when small. */
export const byLimits = (value: number, warn: number, bad: number): FindingState =>
  value >= bad ? 'bad' : value >= warn ? 'warn' : 'ok';
