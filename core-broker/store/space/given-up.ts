// Takes records that a full disk did not take out of the log again, so that their senders can be told no:
// back to the end of the last whole record that was written, counters of their queues included.
// Why cut the files: a later piece may have reached them; a crash must not find such a record behind
// others that were written in its place.
// Invariant: nobody was told of these records and nobody could read them (readers see what is
// dispatched, and only what is written is dispatched).
import { createLog } from '../../base/index.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import { isOutsideQueues, RecordCursor } from '../log/record-bytes.ts';
import type { Ring } from '../log/ring.ts';
import type { TopicTable } from '../queue/topic-table.ts';

const log = createLog('store');

export interface GivenUpParts {
  ring: Ring;
  files: LogFiles;
  state: LogState;
  topics: TopicTable;
}

/** Cuts the log back to the last whole record that was written. No write may be under way. */
export function giveUpUnwritten(parts: GivenUpParts): void {
  const { ring, files, state, topics } = parts;
  if (state.written === state.end) return;
  const cursor = new RecordCursor();
  let offset = state.dispatched;
  let keep = offset;
  let records = 0;
  while (offset < state.end) {
    const at = ring.at(offset);
    const left = files.leftAt(offset);
    const kind = cursor.read(ring.bytes, at, at + Math.min(left, state.end - offset), left);
    if (kind !== 'record' && kind !== 'blank')
      throw new Error(`no record in the ring at ${offset}`);
    offset += cursor.size;
    if (offset <= state.written) {
      keep = offset;
    } else if (kind === 'record') {
      records++;
      if (isOutsideQueues(cursor.sysFlag)) continue;
      const topic = topics.ofBytes(ring.bytes, cursor.topicStart, cursor.topicLength);
      const queue = topics.queue(topic, cursor.queueId);
      queue.next = Math.min(queue.next, cursor.queueOffset);
    }
  }
  files.cut(keep);
  state.giveUp(keep);
  ring.giveUp(keep);
  log.warn('store.given_up', 'records without room were refused', { offset: keep, records });
}
