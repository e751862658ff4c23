// For restores to a time or offset: which delayed messages were not delivered yet at the cut.
// delayOffset.json of the backup is of a later moment: taken as it is, messages whose delivery lies
// behind the cut would never be delivered. A delivery has the topic the delayed record names and the
// same UNIQ_KEY; what cannot be matched counts as not delivered (a duplicate is better than a loss).
import { propertyOf, type ScanVisit } from '../log/index.ts';

const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

interface Pending {
  queueId: number;
  queueOffset: number;
}

export class DeliveryTracker {
  /** real topic + UNIQ_KEY -> delayed records waiting for their delivery, oldest first. */
  readonly #pending = new Map<string, Pending[]>();
  readonly #unmatched: Pending[] = [];

  visit(visit: ScanVisit, topic: string): void {
    const { view, bytes } = visit;
    if (topic !== SCHEDULE_TOPIC) {
      this.#onDelivery(visit, topic);
      return;
    }
    const waiting = { queueId: view.queueId, queueOffset: view.queueOffset };
    const realTopic = propertyOf(bytes, view, 'REAL_TOPIC');
    const key = propertyOf(bytes, view, 'UNIQ_KEY');
    if (realTopic === undefined || key === undefined) {
      this.#unmatched.push(waiting);
      return;
    }
    const name = `${realTopic}\n${key}`;
    const list = this.#pending.get(name);
    if (list) list.push(waiting);
    else this.#pending.set(name, [waiting]);
  }

  /** Lowest queue offset of each delay queue that was not delivered; a queue without one is absent. */
  firstUndelivered(): Map<number, number> {
    const first = new Map<number, number>();
    for (const waiting of [...this.#unmatched, ...[...this.#pending.values()].flat()]) {
      const known = first.get(waiting.queueId) ?? Number.POSITIVE_INFINITY;
      first.set(waiting.queueId, Math.min(known, waiting.queueOffset));
    }
    return first;
  }

  #onDelivery(visit: ScanVisit, topic: string): void {
    if (this.#pending.size === 0) return;
    const key = propertyOf(visit.bytes, visit.view, 'UNIQ_KEY');
    const list = this.#pending.get(`${topic}\n${key}`);
    if (!list) return;
    list.shift();
    if (list.length === 0) this.#pending.delete(`${topic}\n${key}`);
  }
}
