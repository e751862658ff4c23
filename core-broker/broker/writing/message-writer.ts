// Appends messages that do not come straight from a send frame: send-backs, delayed deliveries, sends
// that had to be rewritten. One reused record; the result is valid until the next append.
// Every append passes the epoch guard in the store: a fenced broker cannot write by any of these paths.
import type { DecodedRecord } from '../../protocol/index.ts';
import type { AppendResult, MessageStore, RecordSource, TopicHandle } from '../../store/index.ts';

const NO_BYTES = Buffer.alloc(0);

/** One message as values; what is left out is 0. */
export interface MessageDraft {
  topic: TopicHandle;
  queueId: number;
  body: Buffer;
  properties: string;
  bornTimestampMs: number;
  bornHost: Buffer;
  flag: number;
  sysFlag: number;
  reconsumeTimes: number;
  /** Only of a committed transaction: where its half message stands. */
  preparedTransactionOffset?: number;
}

/** The message of a record once more, at another place: who sent it and when stays as it was. */
export const copyAt = (
  record: DecodedRecord,
  place: Pick<MessageDraft, 'topic' | 'queueId' | 'properties'>,
): MessageDraft => ({
  ...place,
  body: record.body,
  bornTimestampMs: record.bornTimestampMs,
  bornHost: record.bornHost,
  flag: record.flag,
  sysFlag: record.sysFlag,
  reconsumeTimes: record.reconsumeTimes,
});

/** An empty record for reuse. */
export const emptyRecord = (topic: TopicHandle): RecordSource => ({
  topic,
  queueId: 0,
  flag: 0,
  sysFlag: 0,
  bornTimestampMs: 0,
  bornHost: NO_BYTES,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
  body: NO_BYTES,
  bodyStart: 0,
  bodyLength: 0,
  properties: NO_BYTES,
  propertiesStart: 0,
  propertiesLength: 0,
  marks: undefined,
});

export class MessageWriter {
  readonly #store: MessageStore;
  readonly #onAppend: (topic: string, sizeBytes: number) => void;
  #record: RecordSource | undefined;

  constructor(store: MessageStore, onAppend: (topic: string, sizeBytes: number) => void) {
    this.#store = store;
    this.#onAppend = onAppend;
  }

  /**
   * Appends one message. Durable only after store.durable(end).
   * @throws DrError as store.append
   */
  append(draft: MessageDraft): AppendResult {
    const record = this.#record ?? emptyRecord(draft.topic);
    this.#record = record;
    const properties = Buffer.from(draft.properties);
    record.topic = draft.topic;
    record.queueId = draft.queueId;
    record.flag = draft.flag;
    record.sysFlag = draft.sysFlag;
    record.bornTimestampMs = draft.bornTimestampMs;
    record.bornHost = draft.bornHost;
    record.reconsumeTimes = draft.reconsumeTimes;
    record.preparedTransactionOffset = draft.preparedTransactionOffset ?? 0;
    record.body = draft.body;
    record.bodyStart = 0;
    record.bodyLength = draft.body.length;
    record.properties = properties;
    record.propertiesStart = 0;
    record.propertiesLength = properties.length;
    const result = this.#store.append(record);
    this.#onAppend(draft.topic.name, result.sizeBytes);
    return result;
  }

  /** As append; resolves when the message may be acknowledged. */
  async appendDurably(draft: MessageDraft): Promise<void> {
    const result = this.append(draft);
    await this.#store.durable(result.physicalOffset + result.sizeBytes);
  }
}
