// Replies to request messages: pushed to the client that asked, kept in the reply topic, and refused with
// Apache's remarks when it is unknown, silent or says no.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
  responseTo,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  recordsOf,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';

const REPLIES = 'DefaultCluster_REPLY_TOPIC';
let fixture: BrokerFixture;
let asker: RemotingClient;
let pushed: RemotingCommand[];
let verdict = 0;

beforeEach(() => {
  asker = new RemotingClient();
  pushed = [];
  verdict = 0;
  asker.onRequest((_, request) => {
    if (request.code !== RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT) return undefined;
    pushed.push(request);
    return responseTo(request, { code: verdict });
  });
});
afterEach(async () => {
  asker.close();
  await fixture.stop();
});

const open = async (values = {}) => {
  fixture = await startBroker(values);
  const body = JSON.stringify({
    clientID: 'asker@1',
    consumerDataSet: [],
    producerDataSet: [{ groupName: 'askers' }],
  });
  await asker.invoke(fixture.broker.address, { code: RequestCode.HEART_BEAT, body }, 20_000);
};
const properties = (to: string | undefined) => ({
  CORRELATION_ID: 'c-1',
  MSG_TYPE: 'reply',
  TTL: '3000',
  ...(to === undefined ? {} : { REPLY_TO_CLIENT: to }),
});
const reply = (to: string | undefined, isShort = true) =>
  fixture.call(
    isShort ? RequestCode.SEND_REPLY_MESSAGE_V2 : RequestCode.SEND_REPLY_MESSAGE,
    sendFields(REPLIES, {
      properties: properties(to),
      code: isShort ? RequestCode.SEND_MESSAGE_V2 : RequestCode.SEND_MESSAGE,
    }),
    'the answer',
  );

describe('a reply', () => {
  test.each([true, false])(
    'reaches the client that asked and is kept (short names: %s)',
    async (isShort) => {
      await open();
      const answer = await reply('asker@1', isShort);
      expect(answer.code).toBe(0);
      expect(answer.ext).toMatchObject({ queueId: '0', queueOffset: '0', TRACE_ON: 'true' });
      expect(answer.ext['msgId']).toMatch(/^[0-9A-F]{32}$/);
      const [push] = pushed;
      expect(push?.body?.toString()).toBe('the answer');
      expect(push?.ext).toMatchObject({
        topic: REPLIES,
        producerGroup: 'test_producer',
        storeHost: fixture.broker.address,
        unitMode: 'false',
      });
      const carried = parseMessageProperties(push?.ext['properties'] ?? '');
      expect(Object.fromEntries(carried)).toMatchObject(properties('asker@1'));
      expect(Number(carried.get('PUSH_REPLY_TIME'))).toBeGreaterThan(0);
      const kept = await fixture.pull(REPLIES, 0);
      expect(bodiesOf(kept)).toEqual(['the answer']);
      expect(recordsOf(kept)[0]?.properties).not.toContain('PUSH_REPLY_TIME');
    },
  );

  test('is not kept where storeReplyMessageEnable says so', async () => {
    await open({ storeReplyMessageEnable: false });
    const answer = await reply('asker@1');
    expect([answer.code, answer.ext['msgId']]).toEqual([0, '0']);
    expect(pushed).toHaveLength(1);
    expect(bodiesOf(await fixture.pull(REPLIES, 0))).toEqual([]);
  });

  test('to nobody, to a stranger, and to one who refuses it is answered with code 1', async () => {
    await open();
    const none = await reply(undefined);
    expect([none.code, none.remark]).toEqual([
      1,
      'reply message properties[REPLY_TO_CLIENT] is null',
    ]);
    const stranger = await reply('stranger');
    expect([stranger.code, stranger.remark]).toEqual([
      1,
      'push reply message fail, channel of <stranger> not found.',
    ]);
    verdict = 1;
    const refused = await reply('asker@1');
    expect([refused.code, refused.remark]).toEqual([1, 'push reply message to asker@1fail.']);
    expect(bodiesOf(await fixture.pull(REPLIES, 0))).toHaveLength(3);
  });

  test('to a client that has gone is answered at once', async () => {
    await open();
    asker.close();
    await expect
      .poll(async () => (await reply('asker@1')).remark)
      .toBe('push reply message fail, channel of <asker@1> not found.');
  });

  test('for a topic that cannot be is refused before anything is pushed', async () => {
    await open({ autoCreateTopicEnable: false });
    const fields = sendFields('nowhere', { properties: properties('asker@1') });
    const missing = await fixture.call(RequestCode.SEND_REPLY_MESSAGE_V2, fields, 'x');
    expect(missing.code).toBe(17);
    const queue = sendFields(REPLIES, { properties: properties('asker@1'), queueId: 99 });
    expect((await fixture.call(RequestCode.SEND_REPLY_MESSAGE_V2, queue, 'x')).code).toBe(29);
    expect(pushed).toEqual([]);
  });
});
