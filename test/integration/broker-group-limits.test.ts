// What a subscription group may and may not: its switches in pulls, how often it may try a message again,
// and where dead letters go. Codes are Apache's.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RequestCode } from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  heartbeatBody,
  pullFields,
  recordsOf,
  startBroker,
} from '../support/broker-fixture.ts';

let fixture: BrokerFixture;
beforeEach(async () => {
  fixture = await startBroker({ messageDelayLevel: '1s 1s' });
  await fixture.send('T', 'one');
});
afterEach(() => fixture.stop());

const group = (settings: object) =>
  fixture.call(
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    {},
    JSON.stringify({ groupName: 'G', ...settings }),
  );
const pull = (topic: string, more = {}) =>
  fixture.call(RequestCode.PULL_MESSAGE, { ...pullFields(topic, 0, { group: 'G' }), ...more });
const sendBack = (offset: number, more = {}) =>
  fixture.call(RequestCode.CONSUMER_SEND_MSG_BACK, {
    group: 'G',
    offset,
    delayLevel: 0,
    originTopic: 'T',
    unitMode: false,
    ...more,
  });
const firstOf = async (topic: string) => {
  const [record] = recordsOf(await pull(topic));
  return record;
};

describe('pulls of a group', () => {
  test('are refused with 16 while the group is switched off', async () => {
    await group({ consumeEnable: false });
    const answer = await pull('T');
    expect([answer.code, answer.remark]).toEqual([16, 'subscription group no permission, G']);
    await group({ consumeEnable: true });
    expect(bodiesOf(await pull('T'))).toEqual(['one']);
  });

  test('are refused with 16 where it broadcasts and must not', async () => {
    await group({ consumeBroadcastEnable: false });
    const heartbeat = heartbeatBody('c', 'G', 'T').replace('CLUSTERING', 'BROADCASTING');
    await fixture.call(RequestCode.HEART_BEAT, {}, heartbeat);
    const answer = await pull('T', { sysFlag: 0, subVersion: 0 });
    expect(answer.code).toBe(16);
    expect(answer.remark).toContain('can not consume by broadcast way');
  });

  test('with code 361 are refused with 16 where lite pull is switched off', async () => {
    const fields = pullFields('T', 0, { group: 'G' });
    expect((await fixture.call(RequestCode.LITE_PULL_MESSAGE, fields)).code).toBe(0);
    await fixture.call(RequestCode.UPDATE_BROKER_CONFIG, {}, 'litePullMessageEnable=false');
    expect((await fixture.call(RequestCode.LITE_PULL_MESSAGE, fields)).code).toBe(16);
    expect((await pull('T')).code).toBe(0);
  });
});

describe('a message that a group sends back', () => {
  test('comes again until the number in the request, then is a dead letter', async () => {
    await group({ retryMaxTimes: 16 });
    await pull('T');
    const first = await firstOf('T');
    expect((await sendBack(first?.physicalOffset ?? -1, { maxReconsumeTimes: 1 })).code).toBe(0);
    const again = await eventually(() => firstOf('%RETRY%G'));
    expect(again.reconsumeTimes).toBe(1);
    expect((await sendBack(again.physicalOffset, { maxReconsumeTimes: 1 })).code).toBe(0);
    const dead = await eventually(() => firstOf('%DLQ%G'));
    expect([dead.body.toString(), dead.reconsumeTimes]).toEqual(['one', 2]);
    expect(dead.properties).toContain('RETRY_TOPIC\x01T\x02');
    expect(dead.properties).toContain('WAIT\x01false\x02DELAY\x010\x02');
  });

  test("is a dead letter by the group's own number when the request names none", async () => {
    await group({ retryMaxTimes: 0 });
    const first = await firstOf('T');
    expect((await sendBack(first?.physicalOffset ?? -1)).code).toBe(0);
    expect((await eventually(() => firstOf('%DLQ%G'))).reconsumeTimes).toBe(1);
  });

  test('is a dead letter at once when the client says so with a negative delay', async () => {
    await group({});
    const first = await firstOf('T');
    await sendBack(first?.physicalOffset ?? -1, { delayLevel: -1 });
    expect(await eventually(() => firstOf('%DLQ%G'))).toBeDefined();
    // Counted by the topic it was first sent to, and as Apache counts dead letters for its owners.
    const count = async (statsName: string, statsKey: string) => {
      const answer = await fixture.call(RequestCode.VIEW_BROKER_STATS_DATA, {
        statsName,
        statsKey,
      });
      return answer.code;
    };
    expect(await count('SNDBCK_PUT_NUMS', 'T@G')).toBe(0);
    expect(await count('SNDBCK2DLQ_TIMES', 'null@T@G@SEND_BACK_TO_DLQ')).toBe(0);
    expect(await count('SNDBCK2DLQ_TIMES', 'null@T@other@SEND_BACK_TO_DLQ')).not.toBe(0);
    await fixture.call(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: 'G' });
    expect(await count('SNDBCK2DLQ_TIMES', 'null@T@G@SEND_BACK_TO_DLQ')).not.toBe(0);
  });

  test('goes nowhere in a group without retry queues, as the group wants', async () => {
    await group({ retryQueueNums: 0 });
    const before = fixture.broker.store.storeBounds().maxOffset;
    expect((await sendBack(0)).code).toBe(0);
    expect(fixture.broker.store.storeBounds().maxOffset).toBe(before);
  });

  test('is refused with 1 for an offset without a message', async () => {
    await group({});
    const lost = await sendBack(1_000_000);
    expect([lost.code, lost.remark]).toEqual([1, 'look message by offset failed, 1000000']);
  });
});

describe('a group that nobody made', () => {
  const answers = async () => {
    const back = await sendBack(0, { group: 'nobody' });
    const again = await fixture.send('%RETRY%nobody', 'again', { ext: { j: 1 } });
    return [back.code, again.code];
  };

  test('is made by its first send-back or retry, as by its first pull', async () => {
    expect(await answers()).toEqual([0, 0]);
    const made = await fixture.call(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: 'nobody' });
    expect(made.code).toBe(0);
  });

  test('is refused with 26 where groups are made by hand', async () => {
    await fixture.stop();
    fixture = await startBroker({ autoCreateSubscriptionGroup: false });
    await fixture.send('T', 'one');
    expect(await answers()).toEqual([26, 26]);
  });
});
