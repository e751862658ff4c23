// How far the standby is behind: three numbers from the last sample of the source and our own end.
// The one idea: what is not known is not shown as zero. When samples stop coming, the age grows with
// the clock, because from then on the source may have acknowledged anything.
// Pure except for the fields it keeps; the caller brings the time.
import type { SampleFile } from './link-files.ts';
import type { SourceSample } from './source/source-side.ts';

/** Samples come at least every 200 ms; one that is older than this is no longer "now". */
const STALE_MS = 1_000;

export interface Lag {
  messages: number;
  bytes: number;
  ms: number;
  /** Wall clock; 0 = never sampled. */
  sampledAtMs: number;
}

type Kept = Omit<SourceSample, 'queueMaxima'> & { position: number };

export class LagKeeper {
  #sample: Kept | undefined;
  /** The maxima we hold may be of another boot of the source: ask for all of them. */
  #needsAll = true;
  readonly #maxima = new Map<string, number>();

  /** Log offset from which changed queue maxima are wanted with the next sample. */
  get queuesSince(): number {
    return this.#needsAll ? 0 : (this.#sample?.maxOffset ?? 0);
  }

  get sample(): Kept | undefined {
    return this.#sample;
  }

  /** `topic@queue` -> next queue offset at the source, as last sampled. */
  get queueMaxima(): ReadonlyMap<string, number> {
    return this.#maxima;
  }

  /** @param position our validated end when the sample was asked for */
  note(sample: SourceSample, position: number): void {
    const { queueMaxima, ...numbers } = sample;
    const old = this.#sample;
    // A source that went back or changed its epoch is another history: old maxima prove nothing.
    const isOther =
      old !== undefined && (old.epoch !== sample.epoch || old.maxOffset > sample.maxOffset);
    if (isOther) this.#maxima.clear();
    for (const [queue, max] of Object.entries(queueMaxima)) this.#maxima.set(queue, max);
    this.#sample = { ...numbers, position };
    this.#needsAll = isOther;
  }

  /** Basis after a restart. */
  restore(file: SampleFile): void {
    this.#sample = {
      sampledAtMs: file.sampledAtMs,
      epoch: file.epoch,
      minOffset: file.minOffset,
      maxOffset: file.maxOffset,
      lagMessages: 0,
      oldestUnsharedMs: 0,
      sourceNowMs: file.sampledAtMs,
      position: file.maxOffset,
    };
    for (const [queue, max] of Object.entries(file.queueMaxima)) this.#maxima.set(queue, max);
  }

  lag(end: number, nowMs: number): Lag {
    const sample = this.#sample;
    if (sample === undefined) return { messages: 0, bytes: 0, ms: 0, sampledAtMs: 0 };
    const bytes = Math.max(0, sample.maxOffset - end);
    const sampledBytes = Math.max(1, sample.maxOffset - sample.position);
    const messages =
      bytes === 0 ? 0 : Math.max(1, Math.round((sample.lagMessages * bytes) / sampledBytes));
    const ageMs = sample.oldestUnsharedMs === 0 ? 0 : sample.sourceNowMs - sample.oldestUnsharedMs;
    const silentMs = nowMs - sample.sampledAtMs;
    const knownMs = bytes === 0 ? 0 : Math.max(0, ageMs);
    const ms = silentMs > STALE_MS ? knownMs + silentMs : knownMs;
    return { messages, bytes, ms, sampledAtMs: sample.sampledAtMs };
  }

  /** True when the last sample is recent. */
  isFresh(nowMs: number): boolean {
    return this.#sample !== undefined && nowMs - this.#sample.sampledAtMs <= STALE_MS;
  }
}
