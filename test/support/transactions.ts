// A transaction producer over bare requests: half messages, their ends, and the checks it is asked.
import {
  type DecodedRecord,
  decodeRecord,
  parseMessageProperties,
  parseOffsetMsgId,
  type RemotingCommand,
  RequestCode,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { recordsOf, sendFields } from './broker-fixture.ts';

export const COMMIT = 8;
export const ROLLBACK = 12;
export const UNKNOWN = 0;
export const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const OP_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC';

/** What an end must name of a half message. */
export interface HalfRef {
  group: string;
  commitLogOffset: number;
  queueOffset: number;
  transactionId: string;
}

export interface Check {
  ext: Record<string, string>;
  record: DecodedRecord;
  /** To be ended as if by a producer that was asked. */
  ref: HalfRef;
}

export class TransactionClient {
  readonly checks: Check[] = [];
  /** Answers every check at once, as a client library does; undefined = silence. */
  answer: ((body: string) => number) | undefined;
  readonly #client = new RemotingClient();
  readonly #address: () => string;
  readonly #group: string;

  constructor(address: () => string, group = 'tx_group') {
    this.#address = address;
    this.#group = group;
    this.#client.onRequest((_, request) => {
      if (request.code === RequestCode.CHECK_TRANSACTION_STATE) this.#asked(checkOf(request));
      return undefined;
    });
  }

  call(code: number, ext: object = {}, body?: Buffer | string): Promise<RemotingCommand> {
    const request = { code, ext: ext as Record<string, string> };
    return this.#client.invoke(
      this.#address(),
      body === undefined ? request : { ...request, body },
      10_000,
    );
  }

  /** Joins the group, so that it is asked. */
  async join(): Promise<void> {
    const producerDataSet = [{ groupName: this.#group }];
    const beat = { clientID: `${this.#group}@1`, producerDataSet, consumerDataSet: [] };
    await this.call(RequestCode.HEART_BEAT, {}, JSON.stringify(beat));
  }

  sendHalf(topic: string, body: string, properties: Record<string, string> = {}) {
    const all = { TRAN_MSG: 'true', PGROUP: this.#group, ...properties };
    const ext = sendFields(topic, { properties: all, ext: { a: this.#group, f: 4 } });
    return this.call(RequestCode.SEND_MESSAGE_V2, ext, Buffer.from(body));
  }

  async half(topic: string, body: string, properties?: Record<string, string>): Promise<HalfRef> {
    const { code, ext, remark } = await this.sendHalf(topic, body, properties);
    if (code !== 0) throw new Error(`half message refused: ${code} ${remark}`);
    return {
      group: this.#group,
      commitLogOffset: parseOffsetMsgId(ext['msgId'] ?? '').physicalOffset,
      queueOffset: Number(ext['queueOffset']),
      transactionId: ext['transactionId'] ?? '',
    };
  }

  end(half: HalfRef, outcome: number, more: Record<string, unknown> = {}) {
    return this.call(RequestCode.END_TRANSACTION, endFields(half, outcome, more));
  }

  endOneway(half: HalfRef, outcome: number, more: Record<string, unknown> = {}): Promise<void> {
    const ext = endFields(half, outcome, more);
    return this.#client.oneway(this.#address(), { code: RequestCode.END_TRANSACTION, ext });
  }

  #asked(check: Check): void {
    this.checks.push(check);
    const outcome = this.answer?.(check.record.body.toString());
    if (outcome === undefined) return;
    void this.endOneway(check.ref, outcome, { fromTransactionCheck: true });
  }

  /** Half messages that the check of the broker has not passed yet. */
  async unsettled(): Promise<number> {
    const key = { consumerGroup: 'CID_RMQ_SYS_TRANS', topic: HALF_TOPIC, queueId: 0 };
    const { ext } = await this.call(RequestCode.QUERY_CONSUMER_OFFSET, key);
    return (await this.read(HALF_TOPIC)).length - Number(ext['offset'] ?? 0);
  }

  /** All records of one queue. */
  async read(topic: string, queueId = 0): Promise<DecodedRecord[]> {
    const found: DecodedRecord[] = [];
    for (;;) {
      const ext = {
        ...{ consumerGroup: 'reader', topic, queueId, queueOffset: found.length },
        ...{ maxMsgNums: 32, sysFlag: 4, commitOffset: 0, suspendTimeoutMillis: 0 },
        ...{ subVersion: 0, subscription: '*' },
      };
      const records = recordsOf(await this.call(RequestCode.PULL_MESSAGE, ext));
      if (records.length === 0) return found;
      found.push(...records);
    }
  }

  async bodies(topic: string, queueId = 0): Promise<string[]> {
    return (await this.read(topic, queueId)).map(({ body }) => body.toString());
  }

  close(): void {
    this.#client.close();
  }
}

const endFields = (half: HalfRef, outcome: number, more: Record<string, unknown> = {}) => ({
  producerGroup: half.group,
  tranStateTableOffset: half.queueOffset,
  commitLogOffset: half.commitLogOffset,
  commitOrRollback: outcome,
  fromTransactionCheck: false,
  msgId: half.transactionId,
  transactionId: half.transactionId,
  ...more,
});

function checkOf({ ext, body }: RemotingCommand): Check {
  const record = decodeRecord(Buffer.from(body ?? Buffer.alloc(0)));
  const group = parseMessageProperties(record.properties).get('PGROUP') ?? '';
  return {
    ext,
    record,
    ref: {
      group,
      commitLogOffset: Number(ext['commitLogOffset']),
      queueOffset: Number(ext['tranStateTableOffset']),
      transactionId: ext['transactionId'] ?? '',
    },
  };
}
