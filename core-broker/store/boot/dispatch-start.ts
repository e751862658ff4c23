// From where a start builds queues and index again: what the checkpoint vouches for is kept, the rest is
// taken from the log. Recovery does it; the verifier of a closed store asks so that it does not call
// damage what the next start makes good.
// Invariant: never above the first entry that may be missing on disk.
// Source: RocketMQ DefaultMessageStore.recover, behaviour only.
import { RECORD_MAGIC_V1, RECORD_MAGIC_V2, SysFlag } from '../../protocol/index.ts';
import type { LogFiles } from '../log/log-files.ts';
import { int32At, int64At } from '../log/record-bytes.ts';
import type { TopicTable } from '../queue/topic-table.ts';
import type { Checkpoint } from './checkpoint.ts';

/** Apache's safety margin below the checkpoint's timestamps. */
const TIMESTAMP_MARGIN_MS = 3_000;
/** Holds the store time of any record. */
const HEAD_BYTES = 96;

export interface LogAndQueues {
  files: LogFiles;
  topics: TopicTable;
}

/** First offset whose entries may be missing: what starts there is dispatched again. */
export function dispatchStart(
  { files, topics }: LogAndQueues,
  checkpoint: Checkpoint,
  isAbnormal: boolean,
): number {
  const min = files.minOffset;
  const known = checkpoint.dispatchedOffset;
  let queuesEnd = 0;
  for (const queue of topics.all()) queuesEnd = Math.max(queuesEnd, endOfQueue(queue));
  if (queuesEnd <= min) return min;
  if (known !== undefined) return isInLog(files, known) ? known : min;
  if (!isAbnormal) return queuesEnd <= files.limit ? queuesEnd : min;
  const safeMs =
    Math.min(checkpoint.physicMsgTimestampMs, checkpoint.logicsMsgTimestampMs) -
    TIMESTAMP_MARGIN_MS;
  return newestFileBefore(files, safeMs);
}

export function isInLog(files: LogFiles, offset: number | undefined): offset is number {
  return offset !== undefined && offset >= files.minOffset && offset <= files.limit;
}

function endOfQueue(queue: { min: number; max: number } & QueueEntries): number {
  if (queue.max === queue.min) return 0;
  const physical = queue.physicalAt(queue.max - 1);
  return physical < 0 ? 0 : physical + queue.sizeAt(queue.max - 1);
}

interface QueueEntries {
  physicalAt(n: number): number;
  sizeAt(n: number): number;
}

function newestFileBefore(files: LogFiles, safeMs: number): number {
  for (const file of [...files.all].reverse()) {
    const storeMs = firstStoreTime(files, file.start);
    if (storeMs > 0 && storeMs <= safeMs) return file.start;
  }
  return files.minOffset;
}

/** Store time of the record at the start of a file, 0 when none begins there; reads its head only. */
function firstStoreTime(files: LogFiles, start: number): number {
  const head = Buffer.alloc(HEAD_BYTES);
  files.readSync(start, head);
  const magic = int32At(head, 4);
  if (magic !== RECORD_MAGIC_V1 && magic !== RECORD_MAGIC_V2) return 0;
  const bornBytes = int32At(head, 36) & SysFlag.BORN_HOST_V6 ? 20 : 8;
  return int64At(head, 48 + bornBytes);
}
