// The shape of all metadata of a broker as its other parts see it. The implementation is split by file:
// topics, groups, consumer offsets, delay offsets. Each is one JSON file in Apache's form.
import type { ConsumerOffsets } from './consumer-offsets.ts';
import type { DelayOffsets } from './delay-offsets.ts';
import type { GroupTable } from './group-table.ts';
import type { TopicTable } from './topic-table.ts';

/** Contents in RocketMQ's JSON shapes, as the answers to codes 21, 201, 43 and 45. */
export interface MetadataContent {
  topics: unknown;
  groups: unknown;
  consumerOffsets: unknown;
  delayOffsets: unknown;
  /** The answer to code 60, base64; a source without timers has none. */
  timerCheckpoint?: string | undefined;
}

export interface AppliedCounts {
  topics: number;
  groups: number;
  offsets: number;
  delayLevels: number;
}

export interface MetadataTables {
  readonly topics: TopicTable;
  readonly groups: GroupTable;
  readonly offsets: ConsumerOffsets;
  readonly delays: DelayOffsets;
  snapshot(): MetadataContent;
  /**
   * Replaces topics, groups, offsets and delay offsets by a snapshot of the active side, durably.
   * Offsets are clamped to the end of each queue here; groups that consume at the standby keep their own.
   * @throws DrError PROTOCOL when the snapshot has not the shape
   */
  apply(content: MetadataContent): AppliedCounts;
  /** Lines for the sealed-tail token: `topic@group@queue=offset` and `level=offset`. */
  offsetLines(): { consumer: Iterable<string>; delay: Iterable<string> };
  /** Groups whose consumers live at the standby: their offsets have a file of their own. */
  setStandbyGroups(groups: Iterable<string>): void;
  /** Writes what changed since the last save. */
  save(): void;
}
