// Delay levels of messageDelayLevel ("1s 5s 10s ..."), level 1 first. The due time of a delayed message
// is its store time plus the delay of its level, so the same text must be used on both regions.
// Source: RocketMQ ScheduleMessageService.parseDelayLevel, behaviour only.
import { DrError } from '../../../base/index.ts';

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export class DelayLevels {
  readonly #delaysMs: number[];

  /** @throws DrError CONFIG for anything but numbers with s, m, h or d */
  constructor(text: string) {
    this.#delaysMs = text
      .trim()
      .split(/\s+/)
      .map((word) => {
        const unit = UNIT_MS[word.slice(-1)];
        const amount = Number(word.slice(0, -1));
        if (unit === undefined || word.length < 2 || !Number.isInteger(amount)) {
          throw new DrError('CONFIG', `messageDelayLevel: "${word}" is not a delay such as 10s`);
        }
        return amount * unit;
      });
  }

  get count(): number {
    return this.#delaysMs.length;
  }

  /** Delay of a level; levels above the last count as the last; undefined for none. */
  delayMs(level: number): number | undefined {
    if (!Number.isInteger(level) || level <= 0) return undefined;
    return this.#delaysMs[Math.min(level, this.#delaysMs.length) - 1];
  }
}
