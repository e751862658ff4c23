// PULL_MESSAGE and LITE_PULL_MESSAGE: checks, one store read, an answer with the records as they lie in
// the log, or a place among the held pulls. Pulls come scanned (acceptScanned) or decoded (handle); both
// take the same checks, each time. Records go into the connection's output, with one copy.
// Source: PullMessageProcessor, behaviour only.
import * as os from 'node:os';
import {
  encodeResponse,
  Perm,
  PullRequestView,
  PullSysFlag,
  type RemotingCommand,
  ResponseCode,
  type ResponseInit,
  type SubscriptionGroupConfig,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { ColdLimit, PullLimit, PullResult, PullStatus } from '../../store/index.ts';
import type { ConsumerTable } from '../clients/index.ts';
import {
  type ConsumerFilters,
  type FilterCache,
  type WantedContext,
  type WantedRecords,
  wantedRecords,
} from '../filter/index.ts';
import type { Creation, Topic } from '../metadata/index.ts';
import type { BrokerParts } from '../parts.ts';
import { refusalOf, refuse } from '../response-codes.ts';
import type { BrokerStats } from '../stats/index.ts';
import { HeldPulls, type WaitingPull } from './held-pulls.ts';
import { FoundTemplate } from './pull-reply.ts';
import { decodedPull, PullReader, type PullRequest } from './pull-request.ts';
import { type PullPass, PullTurns } from './pull-turns.ts';
import { SlowReaders } from './slow-readers.ts';

/** Never longer than the clients' read time-out of 30 s. */
const HOLD_MS_MAX = 25_000;
const MEMORY_BYTES = os.totalmem();

/** Store status -> response code; where two are possible the first is for offset 0. */
const CODES: Record<PullStatus, number> = {
  FOUND: ResponseCode.SUCCESS,
  NO_MATCHED_MESSAGE: ResponseCode.PULL_RETRY_IMMEDIATELY,
  MESSAGE_WAS_REMOVING: ResponseCode.PULL_RETRY_IMMEDIATELY,
  NO_MATCHED_LOGIC_QUEUE: ResponseCode.PULL_OFFSET_MOVED,
  NO_MESSAGE_IN_QUEUE: ResponseCode.PULL_OFFSET_MOVED,
  OFFSET_OVERFLOW_ONE: ResponseCode.PULL_NOT_FOUND,
  OFFSET_OVERFLOW_BADLY: ResponseCode.PULL_OFFSET_MOVED,
  OFFSET_TOO_SMALL: ResponseCode.PULL_OFFSET_MOVED,
  OFFSET_FOUND_NULL: ResponseCode.PULL_NOT_FOUND,
};

export interface PullContext {
  parts: Omit<BrokerParts, 'pulls' | 'schedule' | 'registration'>;
  consumers: ConsumerTable;
  filters: ConsumerFilters;
  filterCache: FilterCache;
  creation: Creation;
  stats: BrokerStats;
}

/** A checked pull. */
interface Pull extends WantedRecords {
  request: PullRequest;
  /** Where to read; a held pull may have moved on. */
  offset: number;
  topicConfig: Topic['config'];
  groupConfig: SubscriptionGroupConfig;
}

export class PullHandler {
  readonly #context: PullContext;
  readonly #wanted: WantedContext;
  readonly #reader = new PullReader(new PullRequestView());
  readonly #found = new FoundTemplate();
  readonly #header: Buffer = Buffer.alloc(this.#found.bytesMax);
  readonly #turns: PullTurns<WaitingPull>;
  readonly held: HeldPulls;
  readonly readers: SlowReaders;

  constructor(context: PullContext) {
    this.#context = context;
    const { parts, consumers, filters, filterCache: cache } = context;
    const { config, tables } = parts;
    const isForbidden = (group: string, topic: string) => tables.groups.isForbidden(group, topic);
    this.#wanted = { consumers, filters, cache, config, isForbidden };
    this.readers = new SlowReaders({
      config,
      groups: tables.groups,
      logEnd: () => parts.store.storeBounds().maxOffset,
    });
    this.#turns = new PullTurns({
      clock: parts.clock,
      afterWrites: (run) => parts.store.afterWrites(run),
      logEnd: () => parts.store.storeBounds().maxOffset,
      answer: (pull, pass, mayLoad) => this.#answer(pull, pass, mayLoad),
    });
    this.held = new HeldPulls(parts.clock, this.#turns);
    context.parts.store.onArrival(this.held);
  }

  /**
   * Answers or holds the pull in [start, end).
   * @returns false when it is none, is an odd one or will be refused: then handle() must get it
   */
  acceptScanned(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const request = this.#reader.read(chunk, start, end);
    if (request === undefined) return false;
    let refusal: ResponseInit | undefined;
    try {
      refusal = this.#serve(request, connection);
    } catch {
      // Nothing was answered: handle() finds the same reason again and says it.
      return false;
    }
    if (refusal !== undefined) connection.respond(request.opaque, refusal);
    return true;
  }

  /** First pass of a pull; undefined = answered or held. */
  handle(request: RemotingCommand, connection: ServerConnection): ResponseInit | undefined {
    return this.#serve(decodedPull(request), connection);
  }

  /** What must happen as it comes; the rest has its turn. Throws only before anything was answered. */
  #serve(request: PullRequest, connection: ServerConnection): ResponseInit | undefined {
    const { offset } = request;
    const pull = this.#check(request, offset);
    const { offsets } = this.#context.parts.tables;
    this.#commit(request);
    const reset = offsets.takeReset(request);
    if (reset !== undefined) return this.#moveAnswer(pull, reset, 'OFFSET_RESET');
    const bound = offsets.boundFor(request, offset);
    if (bound !== undefined) return this.#moveAnswer(pull, bound, 'OFFSET_OVERFLOW_BADLY');
    this.#turns.take({ connection, request, offset });
    return undefined;
  }

  /** Answers or holds a pull as things stand now: time may have passed since it came. */
  #answer(waiting: WaitingPull, pass: PullPass, mayLoad: boolean): number | Promise<void> {
    const { request, connection, offset } = waiting;
    const { store, admission } = this.#context.parts;
    try {
      const startedMs = performance.now();
      const pull = this.#check(request, offset);
      const limit = this.#limit(pull);
      const loading = mayLoad ? store.preload(request, offset, limit) : undefined;
      if (loading !== undefined) return loading;
      const result = store.pull(request, offset, limit);
      if (pass === 'first' && this.#hold(connection, pull, result)) return 0;
      if (pass === 'woken' && this.#holdAgain(waiting, pull, result)) return 0;
      this.#write(connection, { pull, result, startedMs });
      return result.sizeBytes;
    } catch (reason) {
      connection.respond(request.opaque, refusalOf(reason, admission.current));
      return 0;
    }
  }

  /** Waits on behind what the filter refused; the answer will tell how far that is. */
  #holdAgain(held: WaitingPull, { filter }: Pull, result: PullResult): boolean {
    const isAtEnd = result.nextBeginOffset === result.maxOffset;
    const isNothing =
      result.status === 'NO_MATCHED_MESSAGE' || result.status === 'OFFSET_OVERFLOW_ONE';
    if (filter === undefined || !isNothing || !isAtEnd || !('deadlineMs' in held)) return false;
    return this.held.hold({ ...held, offset: result.nextBeginOffset });
  }

  #check(request: PullRequest, offset: number): Pull {
    const { parts, creation } = this.#context;
    const { topic, group, queueId } = request;
    if ((parts.config.brokerPermission & Perm.READ) === 0) {
      refuse(ResponseCode.NO_PERMISSION, 'the broker pulling message is forbidden');
    }
    if (request.isLite && !parts.config.litePullMessageEnable) {
      refuse(
        ResponseCode.NO_PERMISSION,
        `the broker[${parts.config.brokerIP1}] for lite pull consumer is forbidden`,
      );
    }
    const groupConfig = creation.group(group);
    if (!groupConfig) {
      return refuse(
        ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
        `subscription group [${group}] does not exist`,
      );
    }
    if (!groupConfig.consumeEnable) {
      refuse(ResponseCode.NO_PERMISSION, `subscription group no permission, ${group}`);
    }
    const topicConfig = parts.tables.topics.find(topic)?.config;
    if (!topicConfig) {
      return refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist, apply first please!`);
    }
    if ((topicConfig.perm & Perm.READ) === 0) {
      refuse(ResponseCode.NO_PERMISSION, `the topic[${topic}] pulling message is forbidden`);
    }
    if (queueId < 0 || queueId >= topicConfig.readQueueNums) {
      refuse(
        ResponseCode.INVALID_PARAMETER,
        `queueId[${queueId}] is illegal, topic:[${topic}] readQueueNums:` +
          `[${topicConfig.readQueueNums}]`,
      );
    }
    const { tagCodes, filter } = wantedRecords(this.#wanted, request, groupConfig);
    return { request, offset, tagCodes, filter, topicConfig, groupConfig };
  }

  /** Pulls carry the consumer's progress; where commits are refused it is left out silently. */
  #commit(request: PullRequest): void {
    if ((request.sysFlag & PullSysFlag.COMMIT_OFFSET) === 0) return;
    const { admission, tables } = this.#context.parts;
    if (admission.current.commitRefusal(request.group) !== undefined) return;
    tables.offsets.commit(request, request.commitOffset);
  }

  #limit(pull: Pull): PullLimit {
    const { config } = this.#context.parts;
    return {
      messagesMax: Math.min(
        Math.max(pull.request.messagesMax, 1),
        config.maxTransferCountOnMessageInMemory,
      ),
      bytesMax: config.maxTransferBytesOnMessageInMemory,
      tagCodes: pull.tagCodes,
      filter: pull.filter,
      cold: this.#cold(),
    };
  }

  /** Where old data ends; undefined while the whole log is young. */
  #cold(): ColdLimit | undefined {
    const { config, store } = this.#context.parts;
    const { minOffset, maxOffset } = store.storeBounds();
    const below = maxOffset - (MEMORY_BYTES / 100) * config.accessMessageInMemoryMaxRatio;
    if (below <= minOffset) return undefined;
    return {
      below,
      messagesMax: config.maxTransferCountOnMessageInDisk,
      bytesMax: config.maxTransferBytesOnMessageInDisk,
    };
  }

  #hold(connection: ServerConnection, pull: Pull, result: PullResult): boolean {
    const { request, offset, tagCodes } = pull;
    if (codeOf(result, pull) !== ResponseCode.PULL_NOT_FOUND) return false;
    if ((request.sysFlag & PullSysFlag.SUSPEND) === 0) return false;
    const { admission, clock, config } = this.#context.parts;
    const wantedMs = config.longPollingEnable ? request.suspendMs : config.shortPollingTimeMills;
    const holdMs = Math.min(wantedMs, HOLD_MS_MAX, admission.current.holdMsMax);
    if (holdMs <= 0) return false;
    const deadlineMs = clock.monotonicMs() + holdMs;
    return this.held.hold({ connection, request, offset, tagCodes, deadlineMs });
  }

  /** The consumer goes on at `offset`: by order of the operator, or because what it read is lost. */
  #moveAnswer(pull: Pull, offset: number, remark: string): ResponseInit {
    const bounds = this.#context.parts.store.bounds(pull.request);
    return {
      code: ResponseCode.PULL_OFFSET_MOVED,
      remark,
      ext: {
        suggestWhichBrokerId: 0,
        nextBeginOffset: offset,
        minOffset: bounds?.min ?? 0,
        maxOffset: bounds?.max ?? 0,
      },
    };
  }

  #write(
    connection: ServerConnection,
    { pull, result, startedMs }: { pull: Pull; result: PullResult; startedMs: number },
  ): void {
    const { request, topicConfig, groupConfig } = pull;
    this.#context.stats.countGet(request.topic, request.group, {
      messages: result.messageCount,
      bytes: result.sizeBytes,
      queueId: request.queueId,
      tookMs: performance.now() - startedMs,
    });
    const suggestWhichBrokerId = this.readers.seen(groupConfig, request, result);
    const isPlain =
      (suggestWhichBrokerId | topicConfig.topicSysFlag | groupConfig.groupSysFlag) === 0;
    if (isPlain && result.status === 'FOUND') {
      this.#writeFound(connection, request.opaque, result);
    } else {
      const header = encodeResponse(request.opaque, {
        code: codeOf(result, pull),
        remark: result.status,
        ext: {
          suggestWhichBrokerId,
          nextBeginOffset: result.nextBeginOffset,
          minOffset: result.minOffset,
          maxOffset: result.maxOffset,
          topicSysFlag: topicConfig.topicSysFlag,
          groupSysFlag: groupConfig.groupSysFlag,
        },
      });
      header.writeInt32BE(header.length - 4 + result.sizeBytes, 0);
      connection.write(header);
    }
    for (const chunk of result.chunks) connection.write(chunk);
  }

  #writeFound(connection: ServerConnection, opaque: number, result: PullResult): void {
    const header = this.#header;
    const { nextBeginOffset, minOffset, maxOffset, sizeBytes: bodyBytes } = result;
    const fields = { opaque, nextBeginOffset, minOffset, maxOffset, bodyBytes };
    const length = this.#found.encode(header, 0, fields);
    const at = connection.reserve(length);
    header.copy(connection.output.buffer, at, 0, length);
  }
}

function codeOf(result: PullResult, pull: Pull): number {
  const isMissing =
    result.status === 'NO_MATCHED_LOGIC_QUEUE' || result.status === 'NO_MESSAGE_IN_QUEUE';
  if (isMissing && pull.offset === 0) return ResponseCode.PULL_NOT_FOUND;
  return CODES[result.status];
}
