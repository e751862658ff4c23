// Messages in and out of a broker over real sockets: every form of send, pulls, long polls, filters.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeBatch,
  encodeRequest,
  formatMessageProperties,
  parseMessageProperties,
  RequestCode,
  ResponseCode,
} from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  pullFields,
  recordsOf,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';
import { freePort } from '../support/dr-parts.ts';
import { rawConnection } from '../support/raw-connection.ts';

let region: BrokerFixture;

beforeAll(async () => {
  region = await startBroker();
});
afterAll(async () => {
  await region.stop();
});

describe('sends', () => {
  test('a message sent with V2 is pulled back as it was, with the broker properties', async () => {
    const sent = await region.send('round_trip', 'hello', {
      properties: { TAGS: 'a', KEYS: 'k1' },
    });
    expect(sent.code).toBe(ResponseCode.SUCCESS);
    expect(sent.ext).toMatchObject({ queueId: '0', queueOffset: '0', MSG_REGION: 'DefaultRegion' });
    expect(sent.ext['msgId']).toMatch(/^7F000001[0-9A-F]{24}$/);
    const [record] = recordsOf(await region.pull('round_trip', 0));
    expect(record?.body.toString()).toBe('hello');
    const properties = parseMessageProperties(record?.properties ?? '');
    expect(Object.fromEntries(properties)).toMatchObject({
      TAGS: 'a',
      KEYS: 'k1',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
    });
    expect(sent.ext['transactionId']).toBe(properties.get('UNIQ_KEY'));
  });

  test('V1 names and a binary header do the same', async () => {
    const long = await region.send('forms', 'v1', { code: RequestCode.SEND_MESSAGE });
    expect(long.code).toBe(ResponseCode.SUCCESS);
    const raw = await rawConnection(region.broker.address);
    const ext = sendFields('forms', { properties: { TAGS: 'b' } }) as Record<string, string>;
    const init = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from('binary') };
    raw.write(encodeRequest(init, 77, { header: 'ROCKETMQ' }));
    const answer = await raw.next();
    expect(answer).toMatchObject({ code: 0, opaque: 77 });
    raw.close();
    expect(bodiesOf(await region.pull('forms', 0))).toEqual(['v1', 'binary']);
  });

  test('numbers and booleans without quotes are read, as ali-ons sends them', async () => {
    const raw = await rawConnection(region.broker.address);
    const header = JSON.stringify({
      code: 310,
      version: 121,
      opaque: 5,
      flag: 0,
      extFields: sendFields('ali', { properties: { TAGS: 'undefined' } }),
    });
    raw.writeFrame(header, Buffer.from('loose'));
    expect(await raw.next()).toMatchObject({ code: 0, opaque: 5 });
    raw.close();
    expect(bodiesOf(await region.pull('ali', 0))).toEqual(['loose']);
  });

  test('a batch gets dense queue offsets and one id per message', async () => {
    const body = encodeBatch(
      ['one', 'two', 'three'].map((text) => ({
        flag: 0,
        body: Buffer.from(text),
        properties: formatMessageProperties([['TAGS', text]]),
      })),
    );
    const sent = await region.send('batch', body, { code: RequestCode.SEND_BATCH_MESSAGE });
    expect(sent.code).toBe(ResponseCode.SUCCESS);
    expect(sent.ext['msgId']?.split(',')).toHaveLength(3);
    const records = recordsOf(await region.pull('batch', 0));
    expect(records.map((record) => record.queueOffset)).toEqual([0, 1, 2]);
    expect(records.map((record) => record.body.toString())).toEqual(['one', 'two', 'three']);
    expect(bodiesOf(await region.pull('batch', 0, { subscription: 'two' }))).toEqual(['two']);
  });

  test('a oneway send is stored and never answered', async () => {
    const raw = await rawConnection(region.broker.address);
    const ext = sendFields('oneway') as Record<string, string>;
    const init = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from('quiet') };
    raw.write(encodeRequest(init, 1, { oneway: true }));
    raw.write(
      encodeRequest({ code: RequestCode.GET_MAX_OFFSET, ext: { topic: 'oneway', queueId: 0 } }, 2),
    );
    expect((await raw.next()).opaque).toBe(2);
    raw.close();
    await eventually(async () => bodiesOf(await region.pull('oneway', 0))[0]);
  });

  test('replies of one connection come in the order of the sends', async () => {
    const raw = await rawConnection(region.broker.address);
    for (let opaque = 0; opaque < 200; opaque++) {
      const ext = sendFields('order') as Record<string, string>;
      raw.write(encodeRequest({ code: 310, ext, body: Buffer.from(`${opaque}`) }, opaque));
    }
    const opaques: number[] = [];
    for (let i = 0; i < 200; i++) opaques.push((await raw.next()).opaque);
    expect(opaques).toEqual(Array.from({ length: 200 }, (_, i) => i));
    raw.close();
  });

  test('what cannot be honoured is refused and never stored as a plain message', async () => {
    const flagged = await region.send('later', 'half', { ext: { f: 4 } });
    expect(flagged.code).toBe(ResponseCode.NO_PERMISSION);
    const end = await region.call(RequestCode.GET_MAX_OFFSET, { topic: 'later', queueId: 0 });
    expect(end.ext['offset']).toBe('0');
    const pop = await region.call(RequestCode.POP_MESSAGE, { topic: 'later' });
    expect(pop.code).toBe(ResponseCode.REQUEST_CODE_NOT_SUPPORTED);
  });

  test('refusals have the codes clients act on', async () => {
    await region.send('known', 'x');
    const codeOf = async (topic: string, how = {}) => (await region.send(topic, 'x', how)).code;
    expect(await codeOf('SCHEDULE_TOPIC_XXXX')).toBe(ResponseCode.NO_PERMISSION);
    expect(await codeOf('no spaces')).toBe(ResponseCode.INVALID_PARAMETER);
    expect(await codeOf('known', { queueId: 99 })).toBe(ResponseCode.INVALID_PARAMETER);
    expect(await codeOf('%RETRY%no body')).toBe(ResponseCode.INVALID_PARAMETER);
    expect(await codeOf('fresh', { ext: { c: 'NO_SUCH_DEFAULT' } })).toBe(
      ResponseCode.TOPIC_NOT_EXIST,
    );
    expect(await codeOf('known', { properties: { K: 'x'.repeat(33_000) } })).toBe(
      ResponseCode.MESSAGE_ILLEGAL,
    );
  });

  test('2 MiB go through, more than maxMessageSize is refused with 13', async () => {
    const large = Buffer.alloc(2 * 1024 * 1024, 7);
    expect((await region.send('large', large)).code).toBe(ResponseCode.SUCCESS);
    const [record] = recordsOf(await region.pull('large', 0));
    expect(record?.body.equals(large)).toBe(true);
    const tooLarge = Buffer.alloc(4 * 1024 * 1024 + 1);
    expect((await region.send('large', tooLarge)).code).toBe(ResponseCode.MESSAGE_ILLEGAL);
  });
});

describe('pulls', () => {
  test('a held pull is woken by an arrival', async () => {
    await region.send('held', 'first');
    const waiting = region.pull('held', 1, { suspendMs: 15_000 });
    await region.send('held', 'second');
    const answer = await waiting;
    expect(answer.code).toBe(ResponseCode.SUCCESS);
    expect(bodiesOf(answer)).toEqual(['second']);
  });

  test('a held pull with a tag sleeps through other tags', async () => {
    await region.send('held_tag', 'zero');
    const waiting = region.pull('held_tag', 1, { suspendMs: 15_000, subscription: 'red' });
    // Why: pulls have their turn behind the sends of the same moment; when this is answered it is held.
    await region.send('held_tag_turn', 'over');
    await region.send('held_tag', 'blue', { properties: { TAGS: 'blue' } });
    await region.send('held_tag', 'red', { properties: { TAGS: 'red' } });
    expect(bodiesOf(await waiting)).toEqual(['red']);
  });

  test('a held pull is answered 19 when its time is over, with every field', async () => {
    await region.send('patience', 'x');
    const answer = await region.pull('patience', 1, { suspendMs: 50 });
    expect(answer.code).toBe(ResponseCode.PULL_NOT_FOUND);
    expect(answer.ext).toMatchObject({
      suggestWhichBrokerId: '0',
      nextBeginOffset: '1',
      minOffset: '0',
      maxOffset: '1',
    });
  });

  test('statuses follow the table', async () => {
    for (let i = 0; i < 3; i++) await region.send('status', `${i}`, { properties: { TAGS: 't' } });
    const filtered = await region.pull('status', 0, { subscription: 'other' });
    expect(filtered).toMatchObject({ code: ResponseCode.PULL_RETRY_IMMEDIATELY });
    expect(filtered.ext['nextBeginOffset']).toBe('3');
    const beyond = await region.pull('status', 99);
    expect(beyond).toMatchObject({ code: ResponseCode.PULL_OFFSET_MOVED });
    expect(beyond.ext['nextBeginOffset']).toBe('3');
    expect((await region.pull('status', 3)).code).toBe(ResponseCode.PULL_NOT_FOUND);
    expect((await region.pull('status', 0, { queueId: 1 })).code).toBe(ResponseCode.PULL_NOT_FOUND);
    expect((await region.pull('unknown_topic', 0)).code).toBe(ResponseCode.TOPIC_NOT_EXIST);
    expect((await region.pull('status', 0, { queueId: 64 })).code).toBe(
      ResponseCode.INVALID_PARAMETER,
    );
  });

  test('SQL92 is refused with code 1', async () => {
    const fields = { ...pullFields('status', 0), expressionType: 'SQL92', subscription: 'a > 1' };
    const answer = await region.call(RequestCode.PULL_MESSAGE, fields);
    expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR);
  });

  test('the VIP port serves sends and refuses pulls with 3', async () => {
    const fixed = await startBroker({ listenPort: await freePort(true) });
    try {
      const [host = '', port = ''] = fixed.broker.address.split(':');
      const vip = `${host}:${Number(port) - 2}`;
      const init = { code: 310, ext: sendFields('vip') as Record<string, string>, body: 'x' };
      expect((await fixed.client.invoke(vip, init, 20_000)).code).toBe(ResponseCode.SUCCESS);
      const pull = { code: RequestCode.PULL_MESSAGE, ext: pullFields('vip', 0) };
      expect((await fixed.client.invoke(vip, pull, 20_000)).code).toBe(3);
    } finally {
      await fixed.stop();
    }
  });
});

describe('messages by id and by key', () => {
  test('a message is found by its offset id and by its keys', async () => {
    const sent = await region.send('lookup', 'wanted', { properties: { KEYS: 'order-7' } });
    const offset = Number.parseInt(sent.ext['msgId']?.slice(-16) ?? '', 16);
    const viewed = await region.call(RequestCode.VIEW_MESSAGE_BY_ID, { offset });
    expect(recordsOf(viewed)[0]?.body.toString()).toBe('wanted');
    // Inside the record: an unknown id, and nothing is said about files.
    const inside = await region.call(RequestCode.VIEW_MESSAGE_BY_ID, { offset: offset + 1 });
    const unknown = `can not find message by the offset, ${offset + 1}`;
    expect([inside.code, inside.remark]).toEqual([1, unknown]);
    const query = {
      topic: 'lookup',
      key: 'order-7',
      maxNum: 8,
      beginTimestamp: 0,
      endTimestamp: Date.now() + 1e6,
    };
    const found = await eventually(async () => {
      const answer = await region.call(RequestCode.QUERY_MESSAGE, query);
      return answer.code === 0 ? answer : undefined;
    });
    expect(bodiesOf(found)).toEqual(['wanted']);
    const missing = await region.call(RequestCode.QUERY_MESSAGE, { ...query, key: 'order-8' });
    expect(missing.code).toBe(ResponseCode.QUERY_NOT_FOUND);
    expect((await region.call(RequestCode.VIEW_MESSAGE_BY_ID, { offset: 1e9 })).code).toBe(1);
  });
});
