// A broker in this process over real sockets and a folder of its own, and requests to it.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { Broker } from '../../core-broker/broker/index.ts';
import {
  type BrokerConfigValues,
  type BrokerOptions,
  brokerConfig,
  createBroker,
} from '../../core-broker/broker/index.ts';
import {
  type DecodedRecord,
  decodeRecords,
  formatMessageProperties,
  type RemotingCommand,
  RequestCode,
  tagSubscription,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';

export const SMALL_STORE: Partial<BrokerConfigValues> = {
  mappedFileSizeCommitLog: 16 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 20_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
};

export interface BrokerFixture {
  broker: Broker;
  root: string;
  client: RemotingClient;
  call(
    code: number,
    ext?: Record<string, unknown>,
    body?: Buffer | string,
  ): Promise<RemotingCommand>;
  send(topic: string, body: string | Buffer, more?: SendMore): Promise<RemotingCommand>;
  pull(topic: string, offset: number, more?: PullMore): Promise<RemotingCommand>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface SendMore {
  queueId?: number;
  properties?: Record<string, string>;
  code?: number;
  ext?: Record<string, unknown>;
}

export interface PullMore {
  group?: string;
  queueId?: number;
  subscription?: string;
  suspendMs?: number;
  maxMsgNums?: number;
  commitOffset?: number;
}

export function testConfig(root: string, values: Partial<BrokerConfigValues> = {}) {
  return brokerConfig({
    ...SMALL_STORE,
    storePathRootDir: root,
    storePathCommitLog: path.join(root, 'commitlog'),
    brokerName: 'broker-a',
    brokerIP1: '127.0.0.1',
    brokerIP2: '127.0.0.1',
    bindAddress: '127.0.0.1',
    listenPort: 0,
    haListenPort: 0,
    ...values,
  });
}

/** Starts a broker; `values` on top of a small store and ports chosen by the system. */
export async function startBroker(
  values: Partial<BrokerConfigValues> = {},
  more: Partial<BrokerOptions> = {},
): Promise<BrokerFixture> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-broker-'));
  const open = async () => {
    const broker = createBroker({ config: testConfig(root, values), ...more });
    await broker.start();
    return broker;
  };
  const fixture: BrokerFixture = {
    broker: await open(),
    root,
    client: new RemotingClient(),
    call: (code, ext = {}, body) =>
      fixture.client.invoke(
        fixture.broker.address,
        { code, ext: ext as Record<string, string>, ...(body === undefined ? {} : { body }) },
        20_000,
      ),
    send: (topic, body, how = {}) =>
      fixture.call(
        how.code ?? RequestCode.SEND_MESSAGE_V2,
        sendFields(topic, how),
        Buffer.from(body),
      ),
    pull: (topic, offset, how = {}) =>
      fixture.call(RequestCode.PULL_MESSAGE, pullFields(topic, offset, how)),
    restart: async () => {
      await fixture.broker.stop();
      fixture.broker = await open();
    },
    stop: async () => {
      fixture.client.close();
      await fixture.broker.stop();
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
  return fixture;
}

/** Short names, as Java sends them; long ones for code 10. */
export function sendFields(topic: string, how: SendMore = {}): Record<string, unknown> {
  const text = formatMessageProperties(Object.entries(how.properties ?? {}));
  const short = {
    a: 'test_producer',
    b: topic,
    c: 'TBW102',
    d: 4,
    e: how.queueId ?? 0,
    f: 0,
    g: Date.now(),
    h: 0,
    i: text,
    j: 0,
    k: false,
    m: how.code === RequestCode.SEND_BATCH_MESSAGE,
    ...how.ext,
  };
  if (how.code !== RequestCode.SEND_MESSAGE) return short;
  return {
    producerGroup: short.a,
    topic,
    defaultTopic: short.c,
    defaultTopicQueueNums: short.d,
    queueId: short.e,
    sysFlag: short.f,
    bornTimestamp: short.g,
    flag: short.h,
    properties: text,
    reconsumeTimes: 0,
    unitMode: false,
    ...how.ext,
  };
}

export function pullFields(topic: string, offset: number, how: PullMore = {}) {
  const hasCommit = how.commitOffset !== undefined;
  return {
    consumerGroup: how.group ?? 'test_consumer',
    topic,
    queueId: how.queueId ?? 0,
    queueOffset: offset,
    maxMsgNums: how.maxMsgNums ?? 32,
    sysFlag: 4 | (how.suspendMs ? 2 : 0) | (hasCommit ? 1 : 0),
    commitOffset: how.commitOffset ?? 0,
    suspendTimeoutMillis: how.suspendMs ?? 0,
    subVersion: 0,
    subscription: how.subscription ?? '*',
  };
}

/** Records of a pull answer. */
export const recordsOf = (answer: RemotingCommand): DecodedRecord[] =>
  answer.body ? decodeRecords(answer.body) : [];

export const bodiesOf = (answer: RemotingCommand): string[] =>
  recordsOf(answer).map((record) => record.body.toString());

/** Heartbeat of one consumer of one topic. */
export const heartbeatBody = (clientID: string, groupName: string, topic: string): string =>
  JSON.stringify({
    clientID,
    consumerDataSet: [
      {
        consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
        consumeType: 'CONSUME_PASSIVELY',
        groupName,
        messageModel: 'CLUSTERING',
        subscriptionDataSet: [tagSubscription(topic, '*', 1)],
        unitMode: false,
      },
    ],
    producerDataSet: [{ groupName: 'test_producer' }],
  });

/** Waits until `probe` returns something; the test's own time-out is the limit. */
export async function eventually<T>(
  probe: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
