// Copies topics, groups, request modes, consumer offsets and the progress of delayed and timer delivery
// from the source (codes 21, 201, 402, 43, 45, 60) and hands them to the standby, on a clock and once more for a switchover.
// Order: offsets are asked for last, so they never belong to a topic or group the snapshot lacks.
// What is ahead of the copied data is the sink's to clamp.
// Invariant: snapshots are applied in the order in which they were begun, none after its signal fired.
import { createLog, DrError } from '../../core-broker/base/index.ts';
import type { BrokerAdmin } from '../../core-broker/client/index.ts';
import {
  type ConsumerOffsetTable,
  type FinalSyncResult,
  groupOfTopic,
  isDlqTopic,
  isRetryTopic,
  type SubscriptionGroupTable,
  type TopicConfigTable,
} from '../../core-broker/protocol/index.ts';
import { orAborted } from '../abortable.ts';
import type { LinkConfig } from '../config.ts';
import type { MetadataSink } from '../ports.ts';
import { isIncluded } from './name-filter.ts';
import { offsetDigest } from './offset-digest.ts';

const log = createLog('link');

export class MetadataSync {
  readonly #admin: BrokerAdmin;
  readonly #source: string;
  readonly #sink: MetadataSink;
  readonly #config: LinkConfig;
  #turn = 0;
  #applied = 0;
  #lastProblem: string | undefined;

  constructor(admin: BrokerAdmin, source: string, sink: MetadataSink, config: LinkConfig) {
    this.#admin = admin;
    this.#source = source;
    this.#sink = sink;
    this.#config = config;
  }

  /** Undefined while the last run succeeded. */
  get lastProblem(): string | undefined {
    return this.#lastProblem;
  }

  /** One run on the clock; a failure is logged once per change and tried again next time. */
  async tick(signal: AbortSignal): Promise<void> {
    try {
      await orAborted(this.run(signal), signal);
      this.#note(undefined);
    } catch (reason) {
      if (!signal.aborted) this.#note(DrError.from(reason));
    }
  }

  /**
   * Copies once. A run that was overtaken by a later one, or whose signal fired, applies nothing.
   * @throws DrError; nothing or everything of a snapshot is applied
   */
  async run(signal?: AbortSignal): Promise<FinalSyncResult> {
    const turn = ++this.#turn;
    const topics = await this.#admin.topicTable(this.#source);
    const groups = await this.#admin.groupTable(this.#source);
    const requestModes = await this.#admin.requestModes(this.#source);
    const consumerOffsets = await this.#admin.consumerOffsets(this.#source);
    const delayOffsets = await this.#admin.delayOffsets(this.#source);
    const timerTimes = await this.#admin.timerCheckpoint(this.#source);
    signal?.throwIfAborted();
    if (turn < this.#applied) throw new DrError('CANCELLED', 'a later metadata copy came first');
    this.#applied = turn;
    const counts = this.#sink.apply({
      topics: this.#chosenTopics(topics),
      groups: this.#chosenGroups(groups),
      consumerOffsets: this.#chosenOffsets(consumerOffsets),
      delayOffsets,
      requestModes: requestModes && this.#chosenModes(requestModes),
      timerCheckpoint: timerTimes?.toString('base64'),
    });
    // The digest is of what the source said, so that it can be compared with its sealed-tail token.
    return { ...counts, offsetDigest: offsetDigest(consumerOffsets, delayOffsets) };
  }

  #isTopic(topic: string): boolean {
    if (isRetryTopic(topic) || isDlqTopic(topic)) return this.#isGroup(groupOfTopic(topic));
    const { includeTopics: include, excludeTopics: exclude } = this.#config;
    return isIncluded({ include, exclude }, topic);
  }

  #isGroup(group: string): boolean {
    const { includeGroups: include, excludeGroups: exclude } = this.#config;
    return isIncluded({ include, exclude }, group);
  }

  #chosenTopics(table: TopicConfigTable): TopicConfigTable {
    const entries = Object.entries(table.topicConfigTable).filter(([topic]) =>
      this.#isTopic(topic),
    );
    return { ...table, topicConfigTable: Object.fromEntries(entries) };
  }

  #chosenGroups(table: SubscriptionGroupTable): SubscriptionGroupTable {
    const entries = Object.entries(table.subscriptionGroupTable);
    const chosen = entries.filter(([group]) => this.#isGroup(group));
    return { ...table, subscriptionGroupTable: Object.fromEntries(chosen) };
  }

  #chosenModes({ messageRequestModeMap }: Record<string, unknown>): object {
    const topics = Object.entries((messageRequestModeMap ?? {}) as Record<string, object>)
      .filter(([topic]) => this.#isTopic(topic))
      .map(([topic, groups]) => {
        const chosen = Object.entries(groups).filter(([group]) => this.#isGroup(group));
        return [topic, Object.fromEntries(chosen)];
      });
    return { messageRequestModeMap: Object.fromEntries(topics) };
  }

  #chosenOffsets(table: ConsumerOffsetTable): ConsumerOffsetTable {
    const chosen = Object.entries(table.offsetTable).filter(([key]) => {
      const at = key.lastIndexOf('@');
      return this.#isTopic(key.slice(0, at)) && this.#isGroup(key.slice(at + 1));
    });
    return { ...table, offsetTable: Object.fromEntries(chosen) };
  }

  #note(failure: DrError | undefined): void {
    const problem = failure === undefined ? undefined : `${failure.code}: ${failure.message}`;
    if (problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    if (problem === undefined) log.info('link.metadata', 'topics, groups and offsets follow again');
    else log.warn('link.metadata', 'metadata could not be copied; tried again', { problem });
  }
}
