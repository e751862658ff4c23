// How many messages lie between two log offsets, without reading the log. Queue offsets count messages,
// so the sum of all queue ends is the number of messages ever written; it is sampled with the log end at
// every status call. Exact when the asked offset is a sample or the end; between two samples (200 ms
// apart) it is interpolated by bytes. The loss statement does not use it: it compares queue by queue.
// Source: ours.
import type { MessageStore } from '../../../store/index.ts';

const SAMPLES_MAX = 4096;

interface Sample {
  logEnd: number;
  messages: number;
  wallMs: number;
}

interface QueueEnd {
  max: number;
  /** Log end of the sample that first saw this maximum. */
  seenAt: number;
}

export class MessageCount {
  readonly #store: MessageStore;
  #samples: Sample[] = [];
  readonly #queues = new Map<string, QueueEnd>();

  constructor(store: MessageStore) {
    this.#store = store;
  }

  /** Takes a sample; `logEnd` must be dispatched already. */
  sample(logEnd: number, wallMs: number): void {
    let messages = 0;
    for (const queue of this.#store.queues()) {
      messages += queue.max;
      const name = `${queue.topic}@${queue.queueId}`;
      const known = this.#queues.get(name);
      if (known === undefined) this.#queues.set(name, { max: queue.max, seenAt: logEnd });
      else if (known.max !== queue.max) {
        known.max = queue.max;
        known.seenAt = logEnd;
      }
    }
    const last = this.#samples.at(-1);
    if (last !== undefined && last.logEnd > logEnd) this.#samples = [];
    if (last?.logEnd === logEnd) last.messages = messages;
    else this.#samples.push({ logEnd, messages, wallMs });
    // Half goes at once, so that cutting costs nothing per sample.
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.slice(SAMPLES_MAX / 2);
  }

  /** Messages from `position` to the last sample; 0 only when nothing lies between. */
  from(position: number): number {
    const end = this.#samples.at(-1);
    if (end === undefined || position >= end.logEnd) return 0;
    return Math.max(1, Math.ceil(end.messages - this.#messagesBefore(position)));
  }

  /** Wall clock of the first sample that showed bytes behind `position`; 0 = none. */
  seenMs(position: number): number {
    return this.#samples.find((sample) => sample.logEnd > position)?.wallMs ?? 0;
  }

  /** Queue ends that changed at or after the log offset `since`. */
  changedSince(since: number): Record<string, number> {
    const changed: Record<string, number> = {};
    for (const [name, queue] of this.#queues) {
      if (queue.seenAt >= since) changed[name] = queue.max;
    }
    return changed;
  }

  #messagesBefore(position: number): number {
    const index = this.#firstAfter(position);
    const after = this.#samples[index];
    const before = this.#samples[index - 1] ?? this.#origin();
    if (after === undefined) return before.messages;
    const share = (position - before.logEnd) / (after.logEnd - before.logEnd);
    return before.messages + (after.messages - before.messages) * Math.max(0, share);
  }

  /** Before the first sample only the start of the log is known; what it held is not. */
  #origin(): Sample {
    let expired = 0;
    for (const queue of this.#store.queues()) expired += queue.min;
    return { logEnd: this.#store.storeBounds().minOffset, messages: expired, wallMs: 0 };
  }

  #firstAfter(position: number): number {
    let low = 0;
    let high = this.#samples.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#samples[middle] as Sample).logEnd > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
