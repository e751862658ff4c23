// Histories of one log: what a standby may keep, must cut, or may never copy.
import { describe, expect, it } from 'vitest';
import { compareHistories } from '../../../core-broker/broker/dr/source/index.ts';
import type { LineageEntry } from '../../../core-broker/protocol/index.ts';

const stretch = (epoch: number, boot: string, startOffset: number): LineageEntry => ({
  epoch,
  boot,
  startOffset,
});
const A = stretch(1, 'a', 0);
const source = (lineage: LineageEntry[], maxOffset = 10_000, minOffset = 0, epoch = 1) => ({
  epoch,
  lineage,
  minOffset,
  maxOffset,
});
const standby = (lineage: LineageEntry[], position: number, epoch = 1) => ({
  epoch,
  lineage,
  position,
});

describe('compareHistories', () => {
  it('resumes on one history', () => {
    expect(compareHistories(standby([A], 500), source([A]))).toEqual({ verdict: 'resume' });
  });

  it('resumes an empty standby and a copy without history', () => {
    expect(compareHistories(standby([], 0, 0), source([A])).verdict).toBe('resume');
    expect(compareHistories(standby([], 700, 0), source([A])).verdict).toBe('resume');
  });

  it('cuts what the source lost in a power cut, at the recovered end', () => {
    const after = [A, stretch(1, 'b', 4_800)];
    const verdict = compareHistories(standby([A], 5_000), source(after));
    expect(verdict).toEqual({ verdict: 'truncate', truncateTo: 4_800 });
    expect(compareHistories(standby([A], 4_800), source(after)).verdict).toBe('resume');
  });

  it('cuts at the lowest of several recovered ends', () => {
    const after = [A, stretch(1, 'b', 4_800), stretch(1, 'c', 4_700)];
    expect(compareHistories(standby([A], 4_790), source(after))).toEqual({
      verdict: 'truncate',
      truncateTo: 4_700,
    });
  });

  it('cuts the tail of an old primary where the new epoch began', () => {
    const old = [A, stretch(1, 'reboot', 5_000)];
    const now = source([A, stretch(2, 'x', 4_000)], 9_000, 0, 2);
    expect(compareHistories(standby(old, 5_200, 2), now)).toEqual({
      verdict: 'truncate',
      truncateTo: 4_000,
    });
    expect(compareHistories(standby([A], 4_000, 2), now).verdict).toBe('resume');
  });

  it('refuses a standby of a newer epoch, one that is ahead, and one with unknown history', () => {
    const newer = compareHistories(standby([A], 100, 3), source([A]));
    expect(newer).toMatchObject({ verdict: 'refused', reason: expect.stringContaining('newer') });
    const ahead = compareHistories(standby([A], 10_001), source([A]));
    expect(ahead).toMatchObject({ verdict: 'refused', reason: expect.stringContaining('ahead') });
    const foreign = standby([A, stretch(1, 'b', 300)], 400);
    expect(compareHistories(foreign, source([A]))).toMatchObject({ verdict: 'refused' });
  });

  it('says that retention overtook the link instead of resuming with a hole', () => {
    const kept = source([A], 10_000, 4_096);
    for (const position of [0, 1, 4_095]) {
      expect(compareHistories(standby([A], position), kept)).toMatchObject({
        verdict: 'refused',
        reason: expect.stringContaining('retention overtook the link'),
      });
    }
    expect(compareHistories(standby([A], 4_096), kept).verdict).toBe('resume');
  });

  it('never cuts below what the source can send again', () => {
    const kept = source([A, stretch(1, 'b', 3_000)], 10_000, 4_096);
    expect(compareHistories(standby([A], 5_000), kept)).toMatchObject({ verdict: 'refused' });
  });
});
