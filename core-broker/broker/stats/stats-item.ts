// One counter with three look-back windows as the tools of RocketMQ show them. Snapshots are taken on the
// beat of the whole set; a window is the difference between its newest and its oldest snapshot, so what
// happened since the last beat shows with the next one.
// Source: StatsItem of RocketMQ, behaviour only.

export interface WindowFigures {
  /** Sum per event, e.g. bytes per message. */
  avgpt: number;
  sum: number;
  /** Sum per second. */
  tps: number;
}

interface Snapshot {
  atMs: number;
  value: number;
  times: number;
}

/** Window -> time between snapshots and how many are kept. */
export const WINDOWS = {
  minute: { everyMs: 10_000, kept: 7 },
  hour: { everyMs: 600_000, kept: 7 },
  day: { everyMs: 3_600_000, kept: 25 },
} as const;

export type WindowName = keyof typeof WINDOWS;

const NOTHING: WindowFigures = { avgpt: 0, sum: 0, tps: 0 };

export class StatsItem {
  value = 0;
  times = 0;
  readonly #snapshots: Record<WindowName, Snapshot[]> = { minute: [], hour: [], day: [] };

  add(amount: number, times = 1): void {
    this.value += amount;
    this.times += times;
  }

  /** Takes the snapshot of one window; the first one counts from zero one beat ago. */
  sample(name: WindowName, nowMs: number): void {
    const snapshots = this.#snapshots[name];
    const { everyMs, kept } = WINDOWS[name];
    if (snapshots.length === 0) snapshots.push({ atMs: nowMs - everyMs, value: 0, times: 0 });
    snapshots.push({ atMs: nowMs, value: this.value, times: this.times });
    if (snapshots.length > kept) snapshots.shift();
  }

  figures(name: WindowName): WindowFigures {
    const first = this.#snapshots[name][0];
    const last = this.#snapshots[name].at(-1);
    if (first === undefined || last === undefined) return NOTHING;
    const sum = last.value - first.value;
    const times = last.times - first.times;
    const seconds = Math.max(last.atMs - first.atMs, 1) / 1_000;
    return { avgpt: times > 0 ? sum / times : 0, sum, tps: sum / seconds };
  }
}
