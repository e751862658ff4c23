// Timer messages of a broker: taken and refused as Apache does, delivered in time, over restarts, called
// back, rolled. A clock that can be set makes days pass.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../core-broker/base/index.ts';
import {
  type DecodedRecord,
  parseMessageProperties,
  RequestCode,
  ResponseCode,
  TIMER_TOPIC,
} from '../../core-broker/protocol/index.ts';
import {
  type BrokerFixture,
  eventually,
  recordsOf,
  startBroker,
} from '../support/broker-fixture.ts';

let aheadMs = 0;
const clock: Clock = {
  nowMs: () => Date.now() + aheadMs,
  monotonicMs: () => performance.now() + aheadMs,
};
let fixture: BrokerFixture;

beforeEach(async () => {
  aheadMs = 0;
  fixture = await startBroker({ recallMessageEnable: true, timerRollWindowSlot: 7_200 }, { clock });
});
afterEach(() => fixture.stop());

const records = async (topic: string, queueId = 0): Promise<DecodedRecord[]> =>
  recordsOf(await fixture.pull(topic, 0, { queueId }));
const atLeast = (topic: string, count: number) =>
  eventually(async () => {
    const found = await records(topic);
    return found.length >= count ? found : undefined;
  });
const propertiesOf = (record: DecodedRecord | undefined) =>
  parseMessageProperties(record?.properties ?? '');
const timer = (properties: Record<string, string>) => ({ properties });
const HOUR = 3_600_000;

describe('a send with a delivery time', () => {
  test('is parked with its real topic and delivered when it is due, not before', async () => {
    const deliverMs = clock.nowMs() + HOUR;
    const answer = await fixture.send('T', 'm', {
      queueId: 2,
      ...timer({ TIMER_DELIVER_MS: String(deliverMs), UNIQ_KEY: 'K1', TAGS: 'a' }),
    });
    expect(answer).toMatchObject({ code: 0, ext: { queueId: '2', transactionId: 'K1' } });
    const [parked] = await atLeast(TIMER_TOPIC, 1);
    const due = Number(propertiesOf(parked).get('TIMER_OUT_MS'));
    expect(due % 1_000).toBe(0);
    expect(deliverMs - due).toBeGreaterThan(0);
    expect(deliverMs - due).toBeLessThanOrEqual(1_000);
    expect(propertiesOf(parked).get('REAL_TOPIC')).toBe('T');
    expect(propertiesOf(parked).get('REAL_QID')).toBe('2');
    expect(await records('T', 2)).toHaveLength(0);
    aheadMs = HOUR + 1_000;
    const [delivered] = await eventually(async () => {
      const found = await records('T', 2);
      return found.length > 0 ? found : undefined;
    });
    expect(delivered?.body.toString()).toBe('m');
    const properties = propertiesOf(delivered);
    expect(properties.get('TIMER_OUT_MS')).toBe(String(due));
    expect(Number(properties.get('TIMER_DEQUEUE_MS'))).toBeGreaterThanOrEqual(deliverMs);
    expect(properties.get('TAGS')).toBe('a');
  });

  test('that is due already goes to its topic at once', async () => {
    await fixture.send('T', 'm', timer({ TIMER_DELIVER_MS: String(clock.nowMs() - 5) }));
    expect(await atLeast('T', 1)).toHaveLength(1);
    expect(await records(TIMER_TOPIC)).toHaveLength(0);
  });

  test('too far away, unreadable, or without timers is refused with the code of Apache', async () => {
    const far = await fixture.send('T', 'm', timer({ TIMER_DELAY_SEC: '259201' }));
    expect(far.code).toBe(ResponseCode.MESSAGE_ILLEGAL);
    expect(far.remark).toContain('should not be bigger than the max delay 259200000ms');
    const text = await fixture.send('T', 'm', timer({ TIMER_DELAY_MS: 'soon' }));
    expect(text.code).toBe(ResponseCode.MESSAGE_ILLEGAL);
    const without = await startBroker({ timerWheelEnable: false });
    const off = await without.send('T', 'm', timer({ TIMER_DELAY_SEC: '1' }));
    expect(off).toMatchObject({ code: ResponseCode.SYSTEM_ERROR });
    expect(off.remark).toContain(
      'accurate timer message is not enabled, timerWheelEnable is false',
    );
    await without.stop();
  });

  test('and a delay level follows the level', async () => {
    await fixture.send('T', 'm', timer({ TIMER_DELAY_SEC: '60', DELAY: '1' }));
    const parked = recordsOf(await fixture.pull('SCHEDULE_TOPIC_XXXX', 0));
    expect(propertiesOf(parked[0]).has('TIMER_DELAY_SEC')).toBe(false);
    expect(await records(TIMER_TOPIC)).toHaveLength(0);
  });

  test('longer than the roll window is parked again on its way, once per window', async () => {
    await fixture.send('T', 'm', timer({ TIMER_DELAY_MS: String(5 * HOUR), UNIQ_KEY: 'R' }));
    await atLeast(TIMER_TOPIC, 1);
    await settled();
    aheadMs = 2 * HOUR + 2_000;
    const [, rolled] = await atLeast(TIMER_TOPIC, 2);
    expect(propertiesOf(rolled).get('TIMER_ROLL_TIMES')).toBe('1');
    expect(await records('T')).toHaveLength(0);
    await settled();
    aheadMs = 4 * HOUR + 4_000;
    await atLeast(TIMER_TOPIC, 3);
    await settled();
    aheadMs = 5 * HOUR + 6_000;
    expect(propertiesOf((await atLeast('T', 1))[0]).get('TIMER_ROLL_TIMES')).toBe('2');
    expect(await records('T')).toHaveLength(1);
  });
});

/** The wheel has taken all that is in the timer queue. */
const settled = () =>
  eventually(async () => {
    const info = await fixture.call(RequestCode.GET_BROKER_RUNTIME_INFO);
    const { table } = JSON.parse(info.body?.toString() ?? '{}');
    return table.timerOffsetBehind === '0' ? table : undefined;
  });

describe('a recall', () => {
  const sendRecallable = async (): Promise<string> => {
    const answer = await fixture.send('T', 'gone', timer({ TIMER_DELAY_SEC: '60', UNIQ_KEY: 'X' }));
    return answer.ext['recallHandle'] ?? '';
  };
  const recall = (recallHandle: string, topic = 'T') =>
    fixture.call(RequestCode.RECALL_MESSAGE, { producerGroup: 'p', topic, recallHandle });

  test('drops the message it names and no other', async () => {
    const handle = await sendRecallable();
    await fixture.send('T', 'stays', timer({ TIMER_DELAY_SEC: '60', UNIQ_KEY: 'Y' }));
    expect(await recall(handle)).toMatchObject({ code: 0, ext: { msgId: 'X' } });
    await settled();
    aheadMs = 62_000;
    const found = await atLeast('T', 1);
    expect(found.map((record) => record.body.toString())).toEqual(['stays']);
    const after = await eventually(async () => {
      const table = await settled();
      return table.timerCongestNum === '0' ? table : undefined;
    });
    expect(after.timerReadBehind).toMatch(/^\d+$/);
    expect(await records('T')).toHaveLength(1);
  });

  test('is refused with the codes of Apache', async () => {
    const handle = await sendRecallable();
    expect(await recall('x')).toMatchObject({ code: 604, remark: 'recall handle is invalid' });
    await fixture.send('U', 'm');
    expect(await recall(handle, 'U')).toMatchObject({ code: 604 });
    expect(await recall(handle, 'none')).toMatchObject({ code: ResponseCode.TOPIC_NOT_EXIST });
    aheadMs = 120_000;
    expect(await recall(handle)).toMatchObject({
      code: 604,
      remark: 'recall failed, timestamp invalid',
    });
  });
});

describe('after a restart', () => {
  const park = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const properties = { TIMER_DELAY_SEC: String(600 + n), UNIQ_KEY: `K${n}` };
      await fixture.send('T', `m${n}`, timer(properties));
    }
    await settled();
  };
  const bodies = (found: DecodedRecord[]) => found.map((record) => record.body.toString());

  test('waiting messages are delivered once each, in order of their time', async () => {
    await park(3);
    await fixture.restart();
    aheadMs = 700_000;
    expect(bodies(await atLeast('T', 3))).toEqual(['m0', 'm1', 'm2']);
    await fixture.restart();
    await settled();
    expect(await records('T')).toHaveLength(3);
  });

  for (const damage of ['timerwheel', 'timerlog', 'config/timercheck'] as const) {
    test(`without ${damage} they are built again from the log`, async () => {
      await park(2);
      await fixture.broker.stop();
      const file = path.join(fixture.root, damage);
      expect(fs.existsSync(file)).toBe(true);
      fs.rmSync(file, { recursive: true });
      await fixture.restart();
      aheadMs = 700_000;
      expect(bodies(await atLeast('T', 2))).toEqual(['m0', 'm1']);
    });
  }

  test('with a torn wheel they are built again from the log', async () => {
    await park(1);
    await fixture.broker.stop();
    fs.truncateSync(path.join(fixture.root, 'timerwheel'), 4_000);
    await fixture.restart();
    aheadMs = 700_000;
    expect(bodies(await atLeast('T', 1))).toEqual(['m0']);
  });
});

describe('delivered before the timer files were lost', () => {
  test('messages are found in the log and not delivered again', async () => {
    await fixture.send('T', 'm', timer({ TIMER_DELAY_MS: '900', UNIQ_KEY: 'ONCE' }));
    await atLeast('T', 1);
    await fixture.broker.stop();
    for (const name of ['timerwheel', 'timerlog', 'config/timercheck']) {
      fs.rmSync(path.join(fixture.root, name), { recursive: true, force: true });
    }
    await fixture.restart();
    await settled();
    await fixture.send('T', 'later', timer({ TIMER_DELAY_MS: '900' }));
    const found = await atLeast('T', 2);
    expect(found.map((record) => record.body.toString())).toEqual(['m', 'later']);
  });
});

describe('figures', () => {
  test('checkpoint and metrics are answered in the form of Apache', async () => {
    await fixture.send('T', 'm', timer({ TIMER_DELAY_SEC: '60' }));
    await settled();
    const checkpoint = await eventually(async () => {
      const { body } = await fixture.call(RequestCode.GET_TIMER_CHECK_POINT);
      return body && body.readBigInt64BE(16) === 1n ? body : undefined;
    });
    expect(checkpoint).toHaveLength(56);
    expect(checkpoint.readBigInt64BE(8)).toBe(52n);
    const { body } = await fixture.call(RequestCode.GET_TIMER_METRICS);
    expect(JSON.parse(body?.toString() ?? '')).toMatchObject({ timingCount: { T: { count: 1 } } });
  });
});
