// Which keys of a record go into the index: UNIQ_KEY, then every blank-separated part of KEYS.
// Key hash = abs(javaHash(topic + "#" + key)), 0 for the one value that has no absolute.
// Source: RocketMQ IndexService.buildIndex / IndexFile.indexKeyHashMethod, behaviour only.
import { continueJavaHash, SysFlag } from '../../protocol/index.ts';
import type { RecordCursor } from '../log/record-bytes.ts';
import type { DispatchProperties } from './dispatch-properties.ts';
import type { Topic } from './topic-table.ts';

const BLANK = 32;

/** What the index wants to know of one key. */
export interface IndexSink {
  /** True when records at `physicalOffset` are in the index already. */
  isKnown(physicalOffset: number): boolean;
  put(keyHash: number, physicalOffset: number, storeTimestampMs: number): void;
}

export const absoluteHash = (hash: number): number => {
  const positive = Math.abs(hash);
  return positive > 0x7fffffff ? 0 : positive;
};

export interface IndexedRecord {
  record: RecordCursor;
  topic: Topic;
  found: DispatchProperties;
}

export function forEachIndexKey(buf: Buffer, from: IndexedRecord, sink: IndexSink): void {
  const { record, topic, found } = from;
  if ((record.sysFlag & SysFlag.TRANSACTION_ROLLBACK) === SysFlag.TRANSACTION_ROLLBACK) return;
  if (found.uniqStart < 0 && found.keysStart < 0) return;
  if (sink.isKnown(record.physicalOffset)) return;
  const put = (start: number, end: number): void => {
    if (end <= start) return;
    const hash = absoluteHash(continueJavaHash(topic.keyHash, { bytes: buf, start, end }));
    sink.put(hash, record.physicalOffset, record.storeTimestampMs);
  };
  if (found.uniqStart >= 0) put(found.uniqStart, found.uniqEnd);
  if (found.keysStart < 0) return;
  let start = found.keysStart;
  for (let at = start; at <= found.keysEnd; at++) {
    if (at < found.keysEnd && buf[at] !== BLANK) continue;
    put(start, at);
    start = at + 1;
  }
}
