// What code 25 changes while the broker runs: every key that is documented as taking effect at once is set
// over the wire, read back, and read again by a broker started from the same file; the important ones are
// seen to work. The broker is one of `dr broker -c FILE`, in this process.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  BROKER_KEYS,
  type Broker,
  type BrokerConfigValues,
  type BrokerKey,
  createBroker,
  loadBrokerConfig,
} from '../../core-broker/broker/index.ts';
import {
  encodeRequest,
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { pullFields, recordsOf, SMALL_STORE, sendFields } from '../support/broker-fixture.ts';
import { rawConnection } from '../support/raw-connection.ts';
import { TransactionClient } from '../support/transactions.ts';
import { until } from '../support/until.ts';

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Filed {
  broker: Broker;
  file: string;
  call(code: number, ext?: object, body?: string | Buffer): Promise<RemotingCommand>;
  /** Code 25; the answer must be success. */
  change(values: Record<string, unknown>): Promise<void>;
  /** Code 26. */
  shown(): Promise<Map<string, string>>;
  send(topic: string, body: string | Buffer): Promise<RemotingCommand>;
}

/** A broker started from a file of its own. */
async function filed(values: Partial<BrokerConfigValues> = {}): Promise<Filed> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-live-'));
  stops.push(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'broker.conf');
  const fixed = {
    ...SMALL_STORE,
    brokerName: 'live',
    brokerIP1: '127.0.0.1',
    bindAddress: '127.0.0.1',
    listenPort: 0,
    haListenPort: 0,
    storePathRootDir: path.join(folder, 'store'),
    ...values,
  };
  fs.writeFileSync(file, linesOf(fixed));
  return await started(file);
}

async function started(file: string): Promise<Filed> {
  const broker = createBroker({ config: loadBrokerConfig(file).config });
  await broker.start();
  stops.push(() => broker.stop());
  const client = new RemotingClient();
  stops.push(() => client.close());
  const call: Filed['call'] = (code, ext = {}, body) =>
    client.invoke(
      broker.address,
      { code, ext: ext as Record<string, string>, ...(body === undefined ? {} : { body }) },
      20_000,
    );
  return {
    broker,
    file,
    call,
    change: async (wanted) => {
      const answer = await call(RequestCode.UPDATE_BROKER_CONFIG, {}, linesOf(wanted));
      expect([answer.code, answer.remark]).toEqual([0, undefined]);
    },
    shown: async () => pairsOf((await call(RequestCode.GET_BROKER_CONFIG)).body?.toString() ?? ''),
    send: (topic, body) => call(RequestCode.SEND_MESSAGE_V2, sendFields(topic), Buffer.from(body)),
  };
}

const linesOf = (values: object): string =>
  Object.entries(values)
    .map(([key, value]) => `${key}=${String(value)}\n`)
    .join('');

const pairsOf = (text: string): Map<string, string> =>
  new Map(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

const CHOSEN: Record<string, string | number> = {
  // The stop of the test must not wait for its client.
  shutdownWaitTimeSeconds: 0,
  namesrvAddr: '127.0.0.1:1',
  regionId: 'elsewhere',
  deleteWhen: '1;2',
};

/** A value that is allowed and not the one in force. */
function otherValue(name: string, key: BrokerKey): string | number | boolean {
  const chosen = CHOSEN[name];
  if (chosen !== undefined) return chosen;
  if (key.kind === 'bool') return !key.initial;
  if (key.kind === 'int') return key.initial < key.max ? key.initial + 1 : key.initial - 1;
  throw new Error(`${name} needs a line in CHOSEN`);
}

const LIVE = Object.entries<BrokerKey>(BROKER_KEYS).filter(([, key]) => key.live === true);

test('every key that changes at once is read back changed, and again after a restart', async () => {
  const first = await filed();
  const wanted = new Map(LIVE.map(([name, key]) => [name, String(otherValue(name, key))]));
  // One request each, as tools send them.
  for (const [name, value] of wanted) await first.change({ [name]: value });
  const shown = await first.shown();
  expect(Object.fromEntries([...wanted.keys()].map((name) => [name, shown.get(name)]))).toEqual(
    Object.fromEntries(wanted),
  );
  await first.broker.stop();
  const again = await (await started(first.file)).shown();
  expect(Object.fromEntries([...wanted.keys()].map((name) => [name, again.get(name)]))).toEqual(
    Object.fromEntries(wanted),
  );
});

test('what Apache changes at once is among these keys', () => {
  const names = new Set(LIVE.map(([name]) => name));
  const expected = `fileReservedTime deleteWhen diskMaxUsedSpaceRatio diskSpaceCleanForciblyRatio
    diskSpaceWarningLevelRatio cleanFileForciblyEnable deleteCommitLogFilesInterval
    deleteFileBatchMax transactionTimeOut transactionCheckMax transactionCheckInterval
    transactionOpBatchInterval transactionOpMsgMaxSize rejectTransactionMessage timerMaxDelaySec
    timerFlushIntervalMs timerCongestNumEachSlot timerStopEnqueue timerStopDequeue
    recallMessageEnable brokerPermission maxMessageSize autoCreateTopicEnable
    autoCreateSubscriptionGroup flushIntervalCommitLog flushIntervalConsumeQueue
    flushConsumeQueueThoroughInterval syncFlushTimeout slaveReadEnable longPollingEnable
    shortPollingTimeMills traceOn regionId maxTransferBytesOnMessageInMemory
    maxTransferCountOnMessageInMemory maxTransferBytesOnMessageInDisk
    maxTransferCountOnMessageInDisk accessMessageInMemoryMaxRatio enablePropertyFilter
    disableConsumeIfConsumerReadSlowly consumerFallbehindThreshold notifyConsumerIdsChangedEnable
    startAcceptSendRequestTimeStamp osPageCacheBusyTimeOutMills storeReplyMessageEnable
    enableShutdownGracefully shutdownWaitTimeSeconds validateSystemTopicWhenUpdateTopic
    useServerSideResetOffset namesrvAddr forceRegister registerBrokerTimeoutMills
    haSendHeartbeatInterval haHousekeepingInterval`.split(/\s+/);
  expect(expected.filter((name) => !names.has(name))).toEqual([]);
});

test('a key that waits for the next start is written, and shown as it is in force until then', async () => {
  const first = await filed({ flushDelayOffsetInterval: 9_000 });
  await first.change({ flushDelayOffsetInterval: 7_000 });
  expect((await first.shown()).get('flushDelayOffsetInterval')).toBe('9000');
  await first.broker.stop();
  const again = await started(first.file);
  expect((await again.shown()).get('flushDelayOffsetInterval')).toBe('7000');
});

describe('a change is seen at once:', () => {
  test('maxMessageSize, also above the value of the start', async () => {
    const { send, change } = await filed({ maxMessageSize: 1_000 });
    const big = Buffer.alloc(3_000_000, 'x');
    expect((await send('Sizes', big)).code).toBe(13);
    await change({ maxMessageSize: 8_000_000 });
    for (let n = 0; n < 12; n++) expect((await send('Sizes', big)).code).toBe(0);
    await change({ maxMessageSize: 2_999_999 });
    expect((await send('Sizes', big)).code).toBe(13);
  });

  test('autoCreateTopicEnable, also when there was no TBW102', async () => {
    const { send, change } = await filed({ autoCreateTopicEnable: false });
    expect((await send('Later', 'm')).code).toBe(17);
    await change({ autoCreateTopicEnable: true });
    expect((await send('Later', 'm')).code).toBe(0);
    await change({ autoCreateTopicEnable: false });
    expect((await send('Never', 'm')).code).toBe(17);
    expect((await send('Later', 'm')).code).toBe(0);
  });

  test('autoCreateSubscriptionGroup and brokerPermission', async () => {
    const { send, call, change } = await filed();
    await send('T', 'm');
    const pull = (group: string) => call(RequestCode.PULL_MESSAGE, pullFields('T', 0, { group }));
    await change({ autoCreateSubscriptionGroup: false });
    expect((await pull('unknown')).code).toBe(26);
    await change({ autoCreateSubscriptionGroup: true, brokerPermission: 2 });
    expect((await pull('unknown')).code).toBe(16);
    await change({ brokerPermission: 6 });
    expect((await pull('unknown')).code).toBe(0);
  });

  test('traceOn and regionId, for senders that are known by their headers too', async () => {
    const { broker, call, change } = await filed();
    const raw = await rawConnection(broker.address);
    stops.push(() => raw.close());
    let sent = 0;
    // Born by the same client: the broker learns the shape of such headers and then skips reading them.
    const send = () => {
      const properties = { UNIQ_KEY: `7F00000100010000000000000000${1000 + sent}` };
      const ext = sendFields('T', { properties }) as Record<string, string>;
      const init = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from('m') };
      raw.write(encodeRequest(init, 1_000 + sent++));
      return raw.next();
    };
    const stored = async (offset: number) => {
      const answer = await call(RequestCode.PULL_MESSAGE, pullFields('T', offset));
      const { TRACE_ON, MSG_REGION } = Object.fromEntries(
        parseMessageProperties(recordsOf(answer)[0]?.properties ?? ''),
      );
      return { TRACE_ON, MSG_REGION };
    };
    const before = { TRACE_ON: 'true', MSG_REGION: 'DefaultRegion' };
    for (let n = 0; n < 40; n++) expect((await send()).ext).toMatchObject(before);
    expect(await stored(39)).toEqual(before);
    await change({ traceOn: false, regionId: 'north' });
    const after = { TRACE_ON: 'false', MSG_REGION: 'north' };
    expect((await send()).ext).toMatchObject(after);
    expect(await stored(40)).toEqual(after);
  });

  test('longPollingEnable', async () => {
    const { send, call, change } = await filed();
    await send('T', 'm');
    await change({ longPollingEnable: false, shortPollingTimeMills: 1 });
    // Held as long as it asks for, it would outlast the call.
    const answer = await call(RequestCode.PULL_MESSAGE, pullFields('T', 1, { suspendMs: 600_000 }));
    expect(answer.code).toBe(19);
  });

  test('rejectTransactionMessage and transactionCheckInterval', async () => {
    const { broker, change } = await filed({ transactionCheckInterval: 3_600_000 });
    const producer = new TransactionClient(() => broker.address);
    stops.push(() => producer.close());
    await producer.join();
    await change({ rejectTransactionMessage: true });
    expect((await producer.sendHalf('T', 'no')).code).toBe(16);
    await change({ rejectTransactionMessage: false, transactionTimeOut: 1 });
    await producer.half('T', 'open');
    await change({ transactionCheckInterval: 50 });
    await until(() => producer.checks.length > 0, 'a check of the open transaction');
    expect(producer.checks[0]?.record.body.toString()).toBe('open');
  });

  test('fileReservedTime and deleteWhen', async () => {
    const everyHour = Array.from({ length: 24 }, (_, hour) => hour).join(';');
    const { broker, send, change } = await filed({
      mappedFileSizeCommitLog: 64 * 1024,
      cleanResourceInterval: 100,
      deleteWhen: everyHour,
      // A disk that is nearly full must not delete for another reason.
      diskMaxUsedSpaceRatio: 100,
      cleanFileForciblyEnable: false,
    });
    for (let n = 0; n < 20; n++) await send('T', Buffer.alloc(10_000, 'x'));
    expect(broker.store.storeBounds().minOffset).toBe(0);
    await change({ fileReservedTime: 0, deleteCommitLogFilesInterval: 1 });
    await until(() => broker.store.storeBounds().minOffset > 0, 'a file to be deleted');
  });
});
