// Transactions of one broker over real sockets: half messages, ends, checks, crashes.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerConfigValues } from '../../core-broker/broker/index.ts';
import {
  encodeRequest,
  parseMessageProperties,
  RequestCode,
  ResponseCode,
} from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  eventually,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';
import { type BrokerProcess, spawnBroker } from '../support/broker-process.ts';
import { rawConnection } from '../support/raw-connection.ts';
import {
  COMMIT,
  HALF_TOPIC,
  OP_TOPIC,
  ROLLBACK,
  TransactionClient,
  UNKNOWN,
} from '../support/transactions.ts';

/** Checks at once; a test that wants none turns them off. */
const QUICK = { transactionCheckInterval: 30, transactionTimeOut: 50 };
const NO_CHECKS = { transactionCheckInterval: 3_600_000 };
const MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC';

const cleanUp: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanUp.splice(0).toReversed()) await clean();
});

let region: BrokerFixture;

async function open(
  values: Partial<BrokerConfigValues> = NO_CHECKS,
  group?: string,
): Promise<TransactionClient> {
  region = await startBroker(values);
  cleanUp.push(() => region.stop());
  return clientOf(() => region.broker.address, group);
}

function clientOf(address: () => string, group?: string): TransactionClient {
  const client = new TransactionClient(address, group);
  cleanUp.push(() => client.close());
  return client;
}

describe('half messages', () => {
  test('are parked as Apache parks them and shown to nobody', async () => {
    const producer = await open();
    const sent = await producer.sendHalf('orders', 'a', { TAGS: 'T', KEYS: 'k', UNIQ_KEY: 'U1' });
    expect(sent).toMatchObject({
      code: 0,
      ext: { queueId: '0', queueOffset: '0', transactionId: 'U1' },
    });
    expect(await producer.bodies('orders')).toEqual([]);
    const [half] = await producer.read(HALF_TOPIC);
    expect(half).toMatchObject({ queueId: 0, sysFlag: 0, queueOffset: 0 });
    const properties = Object.fromEntries(parseMessageProperties(half?.properties ?? ''));
    expect(properties).toMatchObject({
      ...{ TRAN_MSG: 'true', PGROUP: 'tx_group', TAGS: 'T', KEYS: 'k', UNIQ_KEY: 'U1' },
      ...{ REAL_TOPIC: 'orders', REAL_QID: '0', __transactionId__: 'U1' },
    });
  });

  test('come by every form of a send', async () => {
    const producer = await open();
    const properties = { TRAN_MSG: 'true', PGROUP: 'tx_group' };
    for (const code of [RequestCode.SEND_MESSAGE, RequestCode.SEND_MESSAGE_V2]) {
      const ext = sendFields('forms', { code, properties, queueId: 3 });
      expect((await producer.call(code, ext, 'x')).ext).toMatchObject({ queueId: '3' });
    }
    const raw = await rawConnection(region.broker.address);
    const ext = sendFields('forms', { properties }) as Record<string, string>;
    raw.write(encodeRequest({ code: 310, ext, body: 'x' }, 1, { oneway: true }));
    await eventually(async () => ((await producer.read(HALF_TOPIC)).length === 3 ? 1 : undefined));
    raw.close();
  });

  test('are refused by rejectTransactionMessage, and when they ask for a delay', async () => {
    const producer = await open({ ...NO_CHECKS, rejectTransactionMessage: true });
    const refused = await producer.sendHalf('orders', 'a');
    expect(refused.code).toBe(ResponseCode.NO_PERMISSION);
    expect(refused.remark).toContain('sending transaction message is forbidden');
    await producer.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'rejectTransactionMessage=false\n');
    expect((await producer.sendHalf('orders', 'a')).code).toBe(0);
    const delayed = await producer.sendHalf('orders', 'a', { DELAY: '1' });
    expect(delayed.code).toBe(ResponseCode.MESSAGE_ILLEGAL);
  });

  test('a retry that old clients send back with TRAN_MSG is a plain message', async () => {
    const producer = await open({ ...NO_CHECKS, messageDelayLevel: '1s' });
    const ext = sendFields('orders', {
      properties: { TRAN_MSG: 'true', DELAY: '1' },
      ext: { j: 1 },
    });
    expect((await producer.call(RequestCode.SEND_MESSAGE_V2, ext, 'again')).code).toBe(0);
    expect(await producer.bodies(HALF_TOPIC)).toEqual([]);
    await eventually(async () => (await producer.bodies('orders'))[0]);
  });
});

describe('ends', () => {
  test('a commit shows the message, a rollback never does, and each leaves an op', async () => {
    const producer = await open();
    const kept = await producer.half('orders', 'kept', { TAGS: 'T', UNIQ_KEY: 'U2' });
    const dropped = await producer.half('orders', 'dropped');
    expect((await producer.end(kept, COMMIT)).code).toBe(0);
    expect((await producer.end(dropped, ROLLBACK)).code).toBe(0);
    const [message, ...others] = await producer.read('orders');
    expect(others).toEqual([]);
    expect(message).toMatchObject({
      sysFlag: COMMIT,
      queueOffset: 0,
      preparedTransactionOffset: kept.commitLogOffset,
    });
    expect(message?.properties).toBe((await producer.read(HALF_TOPIC))[0]?.properties);
    const ops = await producer.read(OP_TOPIC);
    expect(ops.map(({ body }) => body.toString())).toEqual(['0', '1']);
    expect(ops[0]?.properties).toContain('TAGS\u0001d\u0002');
  });

  test('wakes a consumer that waits for messages', async () => {
    const producer = await open();
    const half = await producer.half('awaited', 'now');
    const waiting = region.pull('awaited', 0, { suspendMs: 15_000 });
    await producer.endOneway(half, COMMIT);
    expect((await waiting).code).toBe(0);
  });

  test('unknown and nonsense outcomes change nothing and are not answered', async () => {
    const producer = await open();
    const half = await producer.half('orders', 'x');
    await producer.endOneway(half, UNKNOWN);
    await producer.endOneway(half, 5);
    expect((await producer.end(half, COMMIT)).code).toBe(0);
    expect(await producer.bodies(OP_TOPIC)).toEqual(['0']);
  });

  test('another group, queue offset or position is refused and changes nothing', async () => {
    const producer = await open();
    const half = await producer.half('orders', 'x');
    const plain = await producer.call(10, sendFields('orders', { code: 10 }), 'plain');
    const refusal = async (more: object) => {
      const { code, remark } = await producer.end({ ...half, ...more }, COMMIT);
      return `${code} ${remark}`;
    };
    expect(await refusal({ group: 'other' })).toBe('1 The producer group wrong');
    expect(await refusal({ queueOffset: 1 })).toBe('1 The transaction state table offset wrong');
    const missing = '1 Find prepared transaction message failed';
    expect(await refusal({ commitLogOffset: half.commitLogOffset + 1 })).toBe(missing);
    expect(await refusal({ commitLogOffset: 1 << 30 })).toBe(missing);
    expect(plain.code).toBe(0);
    // A plain message is no half message, whatever the request says.
    const [record] = await producer.read('orders');
    expect(await refusal({ commitLogOffset: record?.physicalOffset ?? 0 })).toBe(missing);
    expect(await producer.bodies(OP_TOPIC)).toEqual([]);
  });

  test('with an immunity of its own a late end is refused with 604, one of a check is not', async () => {
    const producer = await open({ ...NO_CHECKS, transactionTimeOut: 0 });
    const half = await producer.half('orders', 'x', { CHECK_IMMUNITY_TIME_IN_SECONDS: '0' });
    await eventually(async () => {
      const { code } = await producer.end(half, ROLLBACK);
      return code === ResponseCode.ILLEGAL_OPERATION ? true : undefined;
    });
    const checked = await producer.end(half, COMMIT, { fromTransactionCheck: true });
    expect(checked.code).toBe(0);
  });

  test('a second commit, or one after a rollback, appends as Apache does', async () => {
    const producer = await open();
    const half = await producer.half('orders', 'x');
    await producer.end(half, ROLLBACK);
    await producer.end(half, COMMIT);
    await producer.end(half, COMMIT);
    expect(await producer.bodies('orders')).toEqual(['x', 'x']);
  });

  test('with an interval ops are gathered', async () => {
    const producer = await open({ ...NO_CHECKS, transactionOpBatchInterval: 50 });
    for (const name of ['a', 'b', 'c']) {
      await producer.end(await producer.half('orders', name), COMMIT);
    }
    const ops = await eventually(async () => {
      const bodies = await producer.bodies(OP_TOPIC);
      return bodies.join('') === '' ? undefined : bodies;
    });
    expect(ops[0]).toMatch(/^0(,1,(2,)?)?$/);
  });
});

describe('checks', () => {
  test('an open transaction is asked about and committed', async () => {
    const producer = await open(QUICK);
    await producer.join();
    await producer.half('orders', 'asked', { UNIQ_KEY: 'U3' });
    const { ext, record, ref } = await eventually(() => producer.checks[0]);
    expect(ext).toMatchObject({ msgId: 'U3', transactionId: 'U3', bname: 'broker-a' });
    expect(record).toMatchObject({ topic: 'orders', queueId: 0 });
    expect(record.body.toString()).toBe('asked');
    expect(ref.queueOffset).toBeGreaterThan(0);
    expect((await producer.end(ref, COMMIT, { fromTransactionCheck: true })).code).toBe(0);
    expect(await producer.bodies('orders')).toEqual(['asked']);
  });

  test('settled ones are passed, and nobody is asked about them again', async () => {
    const producer = await open(QUICK);
    producer.answer = (body) => (body === 'yes' ? COMMIT : ROLLBACK);
    await producer.join();
    for (const body of ['yes', 'no']) await producer.half('orders', body);
    await eventually(async () => {
      const isAsked = producer.checks.length > 1;
      return isAsked && (await producer.unsettled()) === 0 ? true : undefined;
    });
    const before = producer.checks.length;
    await producer.half('orders', 'later');
    await eventually(() => producer.checks[before]);
    const bodies = producer.checks.slice(before).map(({ record }) => record.body.toString());
    expect(new Set(bodies)).toEqual(new Set(['later']));
    expect(new Set(await producer.bodies('orders'))).toEqual(new Set(['yes']));
  });

  test('one that nobody answers for is given up after transactionCheckMax, and can be resumed', async () => {
    const producer = await open({ ...QUICK, transactionCheckMax: 2 });
    await producer.join();
    await producer.half('orders', 'silent', { UNIQ_KEY: 'U4' });
    const [aside] = await eventually(async () => {
      const records = await producer.read(MAX_TIME_TOPIC);
      return records.length > 0 ? records : undefined;
    });
    expect(producer.checks).toHaveLength(2);
    expect(aside?.properties).toContain('TRANSACTION_CHECK_TIMES\u00012\u0002');
    const view = await producer.call(RequestCode.VIEW_MESSAGE_BY_ID, {
      offset: aside?.physicalOffset,
    });
    expect(view.code).toBe(0);
    const msgId = Buffer.alloc(16);
    aside?.storeHost.copy(msgId);
    msgId.writeBigInt64BE(BigInt(aside?.physicalOffset ?? 0), 8);
    const resumed = await producer.call(RequestCode.RESUME_CHECK_HALF_MESSAGE, {
      msgId: msgId.toString('hex').toUpperCase(),
    });
    expect(resumed.code).toBe(0);
    const again = await eventually(() => producer.checks[2]);
    await producer.end(again.ref, COMMIT, { fromTransactionCheck: true });
    expect(await producer.bodies('orders')).toEqual(['silent']);
  });

  test('nobody to ask counts as a check, and producers that come later are asked', async () => {
    const producer = await open({ ...QUICK, transactionCheckMax: 1_000 });
    await producer.half('orders', 'x');
    await eventually(async () => ((await producer.read(HALF_TOPIC)).length > 3 ? true : undefined));
    await producer.join();
    const { record } = await eventually(() => producer.checks[0]);
    const properties = parseMessageProperties(record.properties);
    expect(Number(properties.get('TRANSACTION_CHECK_TIMES'))).toBeGreaterThan(2);
  });

  test('two producers of a group are asked in turn', async () => {
    const first = await open(QUICK);
    const second = clientOf(() => region.broker.address);
    await first.join();
    await second.join();
    await first.half('orders', 'x');
    await eventually(() => (first.checks.length > 0 && second.checks.length > 0 ? 1 : undefined));
  });

  test('the interval can be changed while the broker runs', async () => {
    const producer = await open({ transactionCheckInterval: 100, transactionTimeOut: 3_600_000 });
    await producer.join();
    await producer.half('orders', 'x');
    await producer.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'transactionTimeOut=10\n');
    await eventually(() => producer.checks[0]);
  });

  test('a thousand open transactions of a producer that never answers do not stop sends', async () => {
    const producer = await open({ ...QUICK, transactionCheckMax: 3 });
    await producer.join();
    const sends = Array.from({ length: 1_000 }, (_, i) => producer.half('flood', `m${i}`));
    await Promise.all(sends);
    expect((await region.send('plain', 'x')).code).toBe(0);
    await eventually(async () => {
      const records = await producer.read(MAX_TIME_TOPIC);
      return records.length === 1_000 ? true : undefined;
    });
    expect(producer.checks).toHaveLength(3_000);
  });
});

describe('crashes', () => {
  const roots: string[] = [];
  const newRoot = (): string => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-tx-'));
    roots.push(root);
    cleanUp.push(() => fs.rmSync(root, { recursive: true, force: true }));
    return root;
  };
  const spawn = async (root: string, values: object): Promise<BrokerProcess> => {
    const broker = await spawnBroker(root, values);
    cleanUp.push(() => broker.kill());
    return broker;
  };

  test('a half message that was open when the broker was killed is finished by the next one', async () => {
    const root = newRoot();
    const first = await spawn(root, { ...NO_CHECKS, flushDiskType: 'SYNC_FLUSH' });
    const before = clientOf(() => first.address);
    await before.half('orders', 'open');
    await before.end(await before.half('orders', 'done'), COMMIT);
    await first.kill();
    const second = await spawn(root, QUICK);
    const after = clientOf(() => second.address);
    await after.join();
    const { ref, record } = await eventually(() => after.checks[0]);
    expect(record.body.toString()).toBe('open');
    await after.end(ref, COMMIT, { fromTransactionCheck: true });
    expect(await after.bodies('orders')).toEqual(['done', 'open']);
    expect(after.checks.every((check) => check.record.body.toString() === 'open')).toBe(true);
  });

  test('a settled one is not asked about again after a clean stop', async () => {
    const producer = await open(QUICK);
    producer.answer = (body) => (body === 'done' ? ROLLBACK : UNKNOWN);
    await producer.join();
    await producer.end(await producer.half('orders', 'done'), ROLLBACK);
    await eventually(async () => ((await producer.unsettled()) === 0 ? true : undefined));
    const before = producer.checks.length;
    await region.restart();
    await producer.join();
    await producer.half('orders', 'open');
    await eventually(() => producer.checks[before]);
    const bodies = producer.checks.slice(before).map(({ record }) => record.body.toString());
    expect(bodies).not.toContain('done');
  });
});
