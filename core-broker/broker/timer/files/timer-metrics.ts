// How many timer messages wait per topic: config/timermetrics, code 61. A figure for people: nothing
// is decided by it, and a rebuild of the wheel counts anew.
// Source: RocketMQ TimerMetrics (5.5.0), JSON form only.
import type { Clock } from '../../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  newDataVersion,
  readDataVersion,
} from '../../../protocol/index.ts';
import { asNumber, asObject, readJsonFile, writeJsonFile } from '../../metadata/index.ts';

interface Metric {
  count: number;
  timeStamp: number;
}

export class TimerMetrics {
  readonly #file: string;
  readonly #clock: Clock;
  #topics = new Map<string, Metric>();
  #version: DataVersion;
  #isDirty = false;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.#version = newDataVersion(clock.nowMs());
  }

  load(): void {
    const saved = readJsonFile(this.#file);
    if (saved?.['dataVersion']) this.#version = readDataVersion(saved['dataVersion']);
    const entries = Object.entries(asObject(saved?.['timingCount']));
    this.#topics = new Map(
      entries.map(([topic, value]) => {
        const metric = asObject(value);
        const timeStamp = asNumber(metric['timeStamp'], 0);
        return [topic, { count: asNumber(metric['count'], 0), timeStamp }];
      }),
    );
  }

  add(topic: string, change: number): void {
    const metric = this.#topics.get(topic) ?? { count: 0, timeStamp: 0 };
    metric.count += change;
    metric.timeStamp = this.#clock.nowMs();
    this.#topics.set(topic, metric);
    this.#isDirty = true;
  }

  reset(): void {
    this.#topics.clear();
    this.#isDirty = true;
  }

  content(): { dataVersion: DataVersion; timingCount: Record<string, Metric> } {
    return { dataVersion: this.#version, timingCount: Object.fromEntries(this.#topics) };
  }

  save(): void {
    if (!this.#isDirty) return;
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    writeJsonFile(this.#file, this.content());
    this.#isDirty = false;
  }
}
