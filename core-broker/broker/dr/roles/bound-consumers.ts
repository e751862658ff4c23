// After a promotion without proof some of what the old side wrote is missing here, and consumers that
// had read it ask for offsets that this side will give to other messages. Every known group is sent back
// to the end of what was copied, once per queue: a message may come twice, none is skipped.
// Durable before the promotion is: a restart right behind it must not forget who has not pulled yet.
// Source: ours; Apache skips in this case.
import type { BrokerParts } from '../../parts.ts';

/**
 * Called between the last byte of the old epoch and the first of the new one; durable on return.
 * @throws errors of the disk: the promotion must not go on
 */
export function boundConsumers(parts: BrokerParts): void {
  const { tables, store } = parts;
  for (const { topic, group } of tables.offsets.subscribed()) {
    const queues = tables.topics.find(topic)?.config.readQueueNums ?? 0;
    for (let queueId = 0; queueId < queues; queueId++) {
      const end = store.bounds({ topic, queueId })?.max ?? 0;
      tables.offsets.bound({ topic, group, queueId }, end);
    }
  }
  tables.offsets.saveBounds();
}
