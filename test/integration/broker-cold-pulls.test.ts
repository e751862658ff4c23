// Pulls whose messages lie on disk only: while they are read the world may change, and the answer says
// what is true when it is given.
import { describe, expect, test } from 'vitest';
import { RequestCode, ResponseCode } from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  pullFields,
  startBroker,
} from '../support/broker-fixture.ts';

type Texts = Record<string, string>;
const BODIES = Array.from({ length: 5 }, (_, i) => `old ${i}`);

/** A broker whose reads from disk wait until they are let go. */
async function slowDisk() {
  const gate = { isShut: false, waiting: [] as (() => void)[], loads: 0 };
  const open = async (options: Parameters<typeof openStore>[0]): Promise<MessageStore> => {
    const store = await openStore(options);
    const preload = store.preload.bind(store);
    store.preload = (queue, from, limit) => {
      const loading = preload(queue, from, limit);
      if (loading === undefined) return undefined;
      gate.loads++;
      if (!gate.isShut) return loading;
      return loading.then(() => new Promise<void>((go) => gate.waiting.push(go)));
    };
    return store;
  };
  const region = await startBroker({}, { openStore: open });
  for (const body of BODIES) await region.send('cold', body);
  // What was sent before the start is in files only.
  await region.restart();
  return { region, gate };
}

type Gate = Awaited<ReturnType<typeof slowDisk>>['gate'];

async function pullInto(region: BrokerFixture, gate: Gate) {
  gate.isShut = true;
  const before = gate.waiting.length;
  const answer = region.pull('cold', 0, { suspendMs: 15_000 });
  await eventually(() => (gate.waiting.length > before ? true : undefined));
  return { answer };
}

function letGo(gate: Gate): void {
  gate.isShut = false;
  for (const go of gate.waiting.splice(0)) go();
}

describe('while a pull waits for the disk', () => {
  test('sends and pulls of what is in memory go on; then it is answered', async () => {
    const { region, gate } = await slowDisk();
    const { answer } = await pullInto(region, gate);
    expect((await region.send('warm', 'new')).code).toBe(ResponseCode.SUCCESS);
    expect(bodiesOf(await region.pull('warm', 0))).toEqual(['new']);
    letGo(gate);
    expect(bodiesOf(await answer)).toEqual(BODIES);
    expect(gate.loads).toBeGreaterThan(0);
    await region.stop();
  });

  test('its topic may be deleted: it is told so', async () => {
    const { region, gate } = await slowDisk();
    const { answer } = await pullInto(region, gate);
    const deleted = await region.call(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: 'cold' });
    expect(deleted.code).toBe(ResponseCode.SUCCESS);
    letGo(gate);
    expect((await answer).code).toBe(ResponseCode.TOPIC_NOT_EXIST);
    await region.stop();
  });

  test('its connection may close, and the broker may stop', async () => {
    const { region, gate } = await slowDisk();
    const leaving = new RemotingClient();
    gate.isShut = true;
    const lost = leaving.invoke(
      region.broker.address,
      { code: RequestCode.PULL_MESSAGE, ext: pullFields('cold', 0) as unknown as Texts },
      20_000,
    );
    await eventually(() => (gate.waiting.length > 0 ? true : undefined));
    leaving.close();
    await expect(lost).rejects.toThrow();
    const { answer } = await pullInto(region, gate);
    const stopped = region.broker.stop();
    expect(bodiesOf(await answer)).toEqual(BODIES);
    await stopped;
    letGo(gate);
    await region.stop();
  });

  test('a committed offset is taken as it comes, not when the disk is done', async () => {
    const { region, gate } = await slowDisk();
    gate.isShut = true;
    const group = { consumerGroup: 'test_consumer', topic: 'cold', queueId: 0 };
    const answer = region.pull('cold', 0, { commitOffset: 2 });
    await eventually(() => (gate.waiting.length > 0 ? true : undefined));
    const update = { ...group, commitOffset: 4 };
    await region.call(RequestCode.UPDATE_CONSUMER_OFFSET, update);
    letGo(gate);
    await answer;
    const asked = await region.call(RequestCode.QUERY_CONSUMER_OFFSET, group);
    expect(asked.ext['offset']).toBe('4');
    await region.stop();
  });
});
