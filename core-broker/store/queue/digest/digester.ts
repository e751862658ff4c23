// Makes the digest of a record from its bytes. Needs no store, so it runs on any thread: what it must
// know of a topic is handed in.
// Source: RocketMQ CommitLog.checkMessageAndReturnSize (tagsCode of delayed messages), behaviour only.
import { javaHashCodeOfBytes } from '../../../protocol/index.ts';
import { isOutsideQueues, type RecordCursor } from '../../log/record-bytes.ts';
import type { DelayLevels } from './delay-levels.ts';
import { DispatchProperties } from './dispatch-properties.ts';
import { indexKeys } from './index-keys.ts';
import { RecordDigest } from './record-digest.ts';

/** What a digest depends on besides the record. */
export interface TopicFacts {
  /** Java hash of `name + "#"`. */
  readonly keyHash: number;
  readonly isSchedule: boolean;
}

export class Digester {
  /** The record digested last. */
  readonly digest = new RecordDigest();
  readonly #delays: DelayLevels;
  readonly #hasIndex: boolean;
  readonly #found = new DispatchProperties();
  readonly #keys = { prefix: 0, found: this.#found, digest: this.digest };

  /** @param hasIndex false: nobody wants key hashes */
  constructor(delays: DelayLevels, hasIndex: boolean) {
    this.#delays = delays;
    this.#hasIndex = hasIndex;
  }

  /** @returns `digest`, until the next call */
  make(buf: Buffer, record: RecordCursor, topic: TopicFacts): RecordDigest {
    const { digest } = this;
    digest.begin();
    digest.physicalOffset = record.physicalOffset;
    digest.size = record.size;
    digest.queueId = record.queueId;
    digest.queueOffset = record.queueOffset;
    digest.storeTimestampMs = record.storeTimestampMs;
    this.#found.scan(buf, record.propertiesStart, record.propertiesLength);
    digest.isQueued = !isOutsideQueues(record.sysFlag);
    digest.tagsCode = digest.isQueued ? this.#tagsCode(buf, record, topic) : 0;
    if (this.#hasIndex) {
      this.#keys.prefix = topic.keyHash;
      indexKeys(buf, record.sysFlag, this.#keys);
    }
    return digest;
  }

  /** Hash of the tag; for delayed messages the time they are due (ms). */
  #tagsCode(buf: Buffer, record: RecordCursor, topic: TopicFacts): number {
    const found = this.#found;
    if (topic.isSchedule && found.delayStart >= 0) {
      const level = Number(buf.toString('latin1', found.delayStart, found.delayEnd));
      const delayMs = this.#delays.delayMs(level);
      if (delayMs !== undefined) return record.storeTimestampMs + delayMs;
    }
    if (found.tagsStart < 0 || found.tagsEnd === found.tagsStart) return 0;
    return javaHashCodeOfBytes(buf, found.tagsStart, found.tagsEnd);
  }
}
