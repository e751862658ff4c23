// A counter with three look-back windows (minute, hour, day) as the tools of RocketMQ show them.
// Totals are sampled on a clock; a window is the difference between now and its oldest sample.
// Source: StatsItem of RocketMQ, behaviour only.

export interface WindowFigures {
  /** Sum per event, e.g. bytes per message. */
  avgpt: number;
  sum: number;
  /** Sum per second. */
  tps: number;
}

interface Sample {
  atMs: number;
  sum: number;
  times: number;
}

/** Window name -> time between samples and how many are kept. */
const WINDOWS = {
  minute: { everyMs: 10_000, kept: 7 },
  hour: { everyMs: 600_000, kept: 7 },
  day: { everyMs: 3_600_000, kept: 25 },
} as const;

export type WindowName = keyof typeof WINDOWS;

export class RateWindow {
  sum = 0;
  times = 0;
  readonly #samples: Record<WindowName, Sample[]> = { minute: [], hour: [], day: [] };

  add(amount: number, times = 1): void {
    this.sum += amount;
    this.times += times;
  }

  /** Takes samples that are due; call at least every 10 s. */
  sample(nowMs: number): void {
    for (const name of Object.keys(WINDOWS) as WindowName[]) {
      const samples = this.#samples[name];
      const last = samples.at(-1);
      if (last && nowMs - last.atMs < WINDOWS[name].everyMs) continue;
      samples.push({ atMs: nowMs, sum: this.sum, times: this.times });
      if (samples.length > WINDOWS[name].kept) samples.shift();
    }
  }

  figures(name: WindowName, nowMs: number): WindowFigures {
    const first = this.#samples[name][0];
    if (first === undefined) return { avgpt: 0, sum: 0, tps: 0 };
    const sum = this.sum - first.sum;
    const times = this.times - first.times;
    const seconds = Math.max(nowMs - first.atMs, 1) / 1_000;
    return { avgpt: times === 0 ? 0 : sum / times, sum, tps: sum / seconds };
  }
}
