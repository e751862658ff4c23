// The shape of all metadata of a broker as its other parts see it. The implementation is split by file:
// topics, groups, consumer offsets, delay offsets, request modes. Each is one JSON file in Apache's form.
import type { ConsumerOffsets } from './consumer-offsets.ts';
import type { DelayOffsets } from './delay-offsets.ts';
import type { GroupTable } from './group-table.ts';
import type { RequestModes } from './request-modes.ts';
import type { TopicTable } from './topic-table.ts';

/** Contents in RocketMQ's JSON shapes, as the answers to codes 21, 201, 43, 45 and 402. */
export interface MetadataContent {
  topics: unknown;
  groups: unknown;
  consumerOffsets: unknown;
  delayOffsets: unknown;
  /** A source before 5.0 has none. */
  requestModes?: unknown;
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
  readonly modes: RequestModes;
  snapshot(): MetadataContent;
  /**
   * Replaces topics, groups, request modes, offsets and delay offsets by a snapshot of the active side,
   * durably, and deletes the queues of topics that were deleted there.
   * Offsets are clamped to the end of each queue here; groups that consume at the standby keep their own.
   * @throws DrError PROTOCOL when the snapshot has not the shape
   */
  apply(content: MetadataContent): AppliedCounts;
  /** Lines for the sealed-tail token: `topic@group@queue=offset` and `level=offset`. */
  offsetLines(): { consumer: Iterable<string>; delay: Iterable<string> };
  /** Groups whose consumers live at the standby: their offsets have a file of their own. */
  setStandbyGroups(groups: Iterable<string>): void;
  /** Writes what changed since the last save; durable on return. */
  save(): void;
  /** Resolves when no file is being written off the loop. Never rejects. */
  settled(): Promise<void>;
}
