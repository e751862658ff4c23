// SQL92 subscriptions over the wire: in the request and from heartbeats, Apache's codes, held pulls that
// wake only for what passes, bounded work per pull, and consumerFilter.json over a restart.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type RemotingCommand, RequestCode } from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  pullFields,
  startBroker,
} from '../support/broker-fixture.ts';

let fixture: BrokerFixture;
afterEach(() => fixture.stop());

const open = async (more = {}) => {
  fixture = await startBroker({ enablePropertyFilter: true, ...more });
};
const sendAged = (age: number, topic = 'T') =>
  fixture.send(topic, `age ${age}`, { properties: { age: String(age) } });
const pullBy = (subscription: string, offset = 0, more: Record<string, unknown> = {}) =>
  fixture.call(RequestCode.PULL_MESSAGE, {
    ...pullFields('T', offset, { subscription }),
    expressionType: 'SQL92',
    ...more,
  });
const bySubscription = (offset: number, subVersion: number, more = {}) =>
  fixture.call(RequestCode.PULL_MESSAGE, {
    ...pullFields('T', offset, { group: 'G' }),
    sysFlag: 0,
    subVersion,
    ...more,
  });
const heartbeat = (subString: string, subVersion: number, expressionType = 'SQL92') =>
  fixture.call(
    RequestCode.HEART_BEAT,
    {},
    JSON.stringify({
      clientID: 'c1',
      consumerDataSet: [
        {
          consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
          consumeType: 'CONSUME_PASSIVELY',
          groupName: 'G',
          messageModel: 'CLUSTERING',
          subscriptionDataSet: [{ topic: 'T', subString, subVersion, expressionType }],
          unitMode: false,
        },
      ],
      producerDataSet: [],
    }),
  );
const check = (subString: string, expressionType = 'SQL92') =>
  fixture.call(
    RequestCode.CHECK_CLIENT_CONFIG,
    {},
    JSON.stringify({
      clientId: 'c1',
      group: 'G',
      subscriptionData: { topic: 'T', subString, expressionType, subVersion: 1 },
    }),
  );
const nextOf = (answer: RemotingCommand) => Number(answer.ext['nextBeginOffset']);

describe('a pull with an expression', () => {
  test('gets what passes, from memory and, after a restart, from the files', async () => {
    await open();
    for (let age = 0; age < 40; age++) await sendAged(age);
    const wanted = ['age 7', 'age 30', 'age 31'];
    const text = 'age = 7 OR age BETWEEN 30 AND 31';
    expect(bodiesOf(await pullBy(text))).toEqual(wanted);
    await fixture.restart();
    const answer = await pullBy(text);
    expect(bodiesOf(answer)).toEqual(wanted);
    expect(nextOf(answer)).toBe(40);
  });

  test('a full answer ends before the next wanted record', async () => {
    await open();
    for (let age = 0; age < 20; age++) await sendAged(age % 4);
    const first = await pullBy('age = 3', 0, { maxMsgNums: 2 });
    expect(bodiesOf(first)).toEqual(['age 3', 'age 3']);
    const second = await pullBy('age = 3', nextOf(first), { maxMsgNums: 32 });
    expect(bodiesOf(second)).toHaveLength(3);
    expect(nextOf(second)).toBe(20);
  });

  test('nothing passes: code 20, and the client goes on behind what was looked at', async () => {
    await open();
    for (let age = 0; age < 5; age++) await sendAged(age);
    const answer = await pullBy('age > 99');
    expect(answer.code).toBe(20);
    expect(nextOf(answer)).toBe(5);
  });

  test('one pull does a bounded amount of work, and the next goes on', async () => {
    await open();
    for (let i = 0; i < 300; i++) await sendAged(1);
    await sendAged(2);
    const costly = `${Array.from({ length: 1_500 }, () => 'age=0').join(' OR ')} OR age = 2`;
    const first = await pullBy(costly);
    expect(first.code).toBe(20);
    expect(nextOf(first)).toBeLessThan(300);
    let at = nextOf(first);
    let answer = first;
    for (let round = 0; answer.code !== 0 && round < 300; round++) {
      answer = await pullBy(costly, at);
      expect(nextOf(answer)).toBeGreaterThan(at);
      at = nextOf(answer);
    }
    expect(bodiesOf(answer)).toEqual(['age 2']);
  });

  test('is refused: 23 with reason and position, 1 where expressions are switched off', async () => {
    await open();
    await sendAged(1);
    const bad = await pullBy('age >');
    expect([bad.code, bad.remark]).toEqual([23, expect.stringContaining('position 6')]);
    expect((await pullBy('')).code).toBe(23);
    expect((await pullBy('x', 0, { expressionType: 'XPATH' })).code).toBe(23);
    await fixture.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'enablePropertyFilter=false');
    const off = await pullBy('age > 0');
    expect(off.code).toBe(1);
    expect(off.remark).toBe('The broker does not support consumer to filter message by SQL92');
  });
});

describe('a held pull with an expression', () => {
  test('sleeps over what does not pass and answers with what does', async () => {
    await open();
    await sendAged(0);
    const held = pullBy('age = 9', 1, { sysFlag: 6, suspendTimeoutMillis: 15_000 });
    let isAnswered = false;
    void held.then(() => {
      isAnswered = true;
    });
    await isHeld();
    for (let age = 1; age < 9; age++) await sendAged(age);
    expect(isAnswered).toBe(false);
    await sendAged(9);
    const answer = await held;
    expect(bodiesOf(answer)).toEqual(['age 9']);
    expect(nextOf(answer)).toBe(10);
  });

  test('tells at its end how far it has looked', async () => {
    await open();
    await sendAged(0);
    const held = pullBy('age = 9', 1, { sysFlag: 6, suspendTimeoutMillis: 600 });
    await isHeld();
    await sendAged(1);
    await sendAged(2);
    const answer = await held;
    expect(answer.body?.length ?? 0).toBe(0);
    expect(nextOf(answer)).toBe(3);
  });
});

/** Requests of one connection are handled in order: with this answer the pull before it is held. */
async function isHeld(): Promise<void> {
  await fixture.call(RequestCode.GET_BROKER_RUNTIME_INFO);
}

describe('an expression from heartbeats', () => {
  test('is checked with codes 27, 28, 25 and 24', async () => {
    await open();
    await sendAged(1);
    expect((await bySubscription(0, 1)).code).toBe(24);
    await heartbeat('age >', 5);
    expect((await bySubscription(0, 5)).code).toBe(27);
    await heartbeat('age = 1', 6);
    expect((await bySubscription(0, 7)).code).toBe(25);
    const good = await bySubscription(0, 6);
    expect([good.code, bodiesOf(good)]).toEqual([0, ['age 1']]);
    await heartbeat('age = 2', 7);
    expect((await bySubscription(0, 7)).code).toBe(20);
    await heartbeat('* ', 8, 'TAG');
    await heartbeat('age <>', 9);
    expect((await bySubscription(0, 9)).code).toBe(27);
  });

  test('stands in consumerFilter.json and survives a restart', async () => {
    await open();
    await sendAged(1);
    await heartbeat('age = 1', 6);
    await fixture.restart();
    const file = path.join(fixture.root, 'config/consumerFilter.json');
    const saved = JSON.parse(fs.readFileSync(file, 'utf8'));
    const row = saved.filterDataByTopic.T.groupFilterData.G;
    expect(row).toMatchObject({ expression: 'age = 1', clientVersion: 6, expressionType: 'SQL92' });
    expect(row.bloomFilterData).toMatchObject({ bitNum: 112 });
    expect(row.bloomFilterData.bitPos).toHaveLength(3);
    await heartbeat('age = 1', 6);
    expect(bodiesOf(await bySubscription(0, 6))).toEqual(['age 1']);
  });

  test('is dropped from the file when its consumers are gone for long', async () => {
    await open({ filterDataCleanTimeSpan: 0 });
    await heartbeat('age = 1', 6);
    fixture.client.close();
    await fixture.broker.stop();
    const file = path.join(fixture.root, 'config/consumerFilter.json');
    expect(fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '').not.toContain('age = 1');
  });
});

test('code 46 compiles the expression and says what is wrong with it', async () => {
  await open();
  expect((await check('age > 3')).code).toBe(0);
  const bad = await check('age NOT LIKE 3');
  expect([bad.code, bad.remark]).toEqual([23, expect.stringContaining('position 9')]);
  // As Apache: what follows a whole expression is not looked at.
  expect((await check('age LIKE 3')).code).toBe(0);
  await fixture.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'enablePropertyFilter=false');
  expect((await check('age > 3')).code).toBe(1);
});
