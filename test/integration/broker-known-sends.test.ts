// The road of sends that look like earlier ones of the same connection: what is stored and answered is
// what the scanned road stores and answers, and every refusal still comes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeRecords,
  encodeRequest,
  formatMessageProperties,
  parseMessageProperties,
  RequestCode,
  ResponseCode,
} from '../../core-broker/protocol/index.ts';
import { type BrokerFixture, sendFields, startBroker } from '../support/broker-fixture.ts';
import { type RawConnection, rawConnection } from '../support/raw-connection.ts';

/** More than a connection must send before its sends are known. */
const SENDS = 40;
let region: BrokerFixture;

beforeAll(async () => {
  region = await startBroker({ maxMessageSize: 1_000 });
});
afterAll(async () => {
  await region.stop();
});

const frameOf = (topic: string, n: number, header: 'JSON' | 'ROCKETMQ', body = `body ${n}`) => {
  const properties = formatMessageProperties([
    ['KEYS', `order-${1000 + n}`],
    ['UNIQ_KEY', `7F00000100010000000000000000${1000 + n}`],
    ['TAGS', n % 2 ? 'odd' : 'two'],
  ]);
  const ext = sendFields(topic, { queueId: n % 4, ext: { i: properties } });
  const fields = ext as Record<string, string>;
  const init = { code: RequestCode.SEND_MESSAGE_V2, ext: fields, body: Buffer.from(body) };
  return encodeRequest(init, 1000 + n, { header });
};

async function sendAll(raw: RawConnection, topic: string, header: 'JSON' | 'ROCKETMQ') {
  const answers = [];
  for (let n = 0; n < SENDS; n++) {
    raw.write(frameOf(topic, n, header));
    answers.push(await raw.next());
  }
  return answers;
}

describe.each(['JSON', 'ROCKETMQ'] as const)('with %s headers', (header) => {
  test('every record and every answer is as on the scanned road', async () => {
    const topic = `known_${header}`;
    const raw = await rawConnection(region.broker.address);
    const answers = await sendAll(raw, topic, header);
    raw.close();
    expect(answers.map((answer) => answer.opaque)).toEqual(
      Array.from({ length: SENDS }, (_, n) => 1000 + n),
    );
    for (let queueId = 0; queueId < 4; queueId++) {
      const pulled = await region.pull(topic, 0, { queueId, maxMsgNums: SENDS });
      const records = decodeRecords(pulled.body ?? Buffer.alloc(0));
      expect(records).toHaveLength(SENDS / 4);
      records.forEach((record, i) => {
        const n = i * 4 + queueId;
        expect(record.body.toString()).toBe(`body ${n}`);
        expect(record.queueOffset).toBe(i);
        const found = Object.fromEntries(parseMessageProperties(record.properties));
        const unique = `7F00000100010000000000000000${1000 + n}`;
        const own = { MSG_REGION: 'DefaultRegion', TRACE_ON: 'true', CLUSTER: 'DefaultCluster' };
        const sent = { KEYS: `order-${1000 + n}`, UNIQ_KEY: unique, TAGS: n % 2 ? 'odd' : 'two' };
        expect(found).toEqual({ ...sent, ...own });
        expect(answers[n]?.ext).toMatchObject({
          queueId: String(queueId),
          queueOffset: String(i),
          transactionId: unique,
        });
      });
    }
    const filtered = await region.pull(topic, 0, { queueId: 1, subscription: 'two' });
    expect(filtered.code).not.toBe(ResponseCode.SUCCESS);
  });

  test('a topic that was deleted or shrunk refuses the next send of a known kind', async () => {
    const topic = `shrinking_${header}`;
    const raw = await rawConnection(region.broker.address);
    await sendAll(raw, topic, header);
    const config = {
      topic,
      readQueueNums: 2,
      writeQueueNums: 2,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
    };
    const changed = await region.call(RequestCode.UPDATE_AND_CREATE_TOPIC, {
      ...config,
      defaultTopic: 'TBW102',
      topicSysFlag: 0,
      order: false,
    });
    expect(changed.code).toBe(ResponseCode.SUCCESS);
    raw.write(frameOf(topic, 3, header));
    expect(await raw.next()).toMatchObject({ code: ResponseCode.INVALID_PARAMETER, opaque: 1003 });
    raw.write(frameOf(topic, 1, header));
    expect(await raw.next()).toMatchObject({ code: 0, opaque: 1001 });
    for (let n = 0; n < SENDS; n++) {
      raw.write(frameOf(topic, 4 * n + (n % 2), header));
      expect((await raw.next()).code).toBe(0);
    }
    expect((await region.call(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })).code).toBe(0);
    raw.write(frameOf(topic, 0, header));
    const again = await raw.next();
    // The send itself created it anew, as every send to an unknown topic does.
    expect(again).toMatchObject({ code: 0, opaque: 1000 });
    const names = (await region.call(RequestCode.GET_ALL_TOPIC_CONFIG)).body?.toString() ?? '';
    expect(names).toContain(topic);
    raw.close();
  });

  test('a body that is too large is refused on a known kind too', async () => {
    const topic = `large_${header}`;
    const raw = await rawConnection(region.broker.address);
    await sendAll(raw, topic, header);
    raw.write(frameOf(topic, 5, header, 'x'.repeat(1_001)));
    expect(await raw.next()).toMatchObject({ code: ResponseCode.MESSAGE_ILLEGAL, opaque: 1005 });
    raw.close();
  });
});
