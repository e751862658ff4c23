// How long sends waited for their acknowledgement: the slowest ever, and how many fell into which range in
// the minute before this one. One value per release of replies (its oldest send), not one per message.
// Source: StoreStatsService of RocketMQ (putMessageDistributeTime, putLatency99), behaviour only.

/** Upper ends of the ranges, ms, with Apache's names; the first is "less than one". */
const RANGES: readonly [number, string][] = [
  [1, '[<=0ms]'],
  [10, '[0~10ms]'],
  [50, '[10~50ms]'],
  [100, '[50~100ms]'],
  [200, '[100~200ms]'],
  [500, '[200~500ms]'],
  [1_000, '[500ms~1s]'],
  [2_000, '[1~2s]'],
  [3_000, '[2~3s]'],
  [4_000, '[3~4s]'],
  [5_000, '[4~5s]'],
  [10_000, '[5~10s]'],
  [Number.POSITIVE_INFINITY, '[10s~]'],
];

export class PutTimes {
  maxMs = 0;
  #now = new Float64Array(RANGES.length);
  #before = new Float64Array(RANGES.length);

  observe(tookMs: number): void {
    if (tookMs > this.maxMs) this.maxMs = tookMs;
    let range = 0;
    while (tookMs >= (RANGES[range] as [number, string])[0]) range++;
    this.#now[range] = (this.#now[range] as number) + 1;
  }

  /** A minute is over. */
  turn(): void {
    [this.#now, this.#before] = [this.#before.fill(0), this.#now];
  }

  text(): string {
    return RANGES.map(([, name], at) => `${name}:${this.#before[at]} `).join('');
  }

  /** The time that `share` of all sends did not exceed, ms; even inside its range. */
  quantileMs(share: number): number {
    const total = this.#before.reduce((sum, count) => sum + count, 0);
    let wanted = total * share;
    for (const [at, [end]] of RANGES.entries()) {
      const count = this.#before[at] as number;
      if (count === 0 || wanted > count) {
        wanted -= count;
        continue;
      }
      const start = RANGES[at - 1]?.[0] ?? 0;
      const stop = Math.min(end, Math.max(this.maxMs, start));
      return start + ((stop - start) * wanted) / count;
    }
    return 0;
  }
}
