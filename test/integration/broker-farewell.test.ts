// A stop with enableShutdownGracefully: name servers hear of it first, new clients are sent away with 1500
// before anything of their request is done, older ones are served on, and the wait ends with the last
// connection or after shutdownWaitTimeSeconds.
import { afterEach, expect, test } from 'vitest';
import { encodeRequest, RequestCode } from '../../core-broker/protocol/index.ts';
import { type BrokerFixture, sendFields, startBroker } from '../support/broker-fixture.ts';
import { type RawConnection, rawConnection } from '../support/raw-connection.ts';
import { until } from '../support/until.ts';

const GRACE = { enableShutdownGracefully: true, shutdownWaitTimeSeconds: 600 };
const V5_3_1 = 475;
/** No client of these tests waits as long: held until somebody answers. */
const HELD_MS = 600_000;
let region: BrokerFixture | undefined;
const lines: RawConnection[] = [];
afterEach(async () => {
  // Before the stop: it waits for who is still there.
  for (const line of lines.splice(0)) line.close();
  region?.client.close();
  await region?.stop();
  region = undefined;
});

async function connect(address: string): Promise<RawConnection> {
  const line = await rawConnection(address);
  lines.push(line);
  return line;
}

const send = (opaque: number, version: number) =>
  encodeRequest(
    {
      code: RequestCode.SEND_MESSAGE_V2,
      ext: sendFields('T') as Record<string, string>,
      body: Buffer.from(`m${opaque}`),
    },
    opaque,
    { version },
  );

test('clients above 5.3.1 get 1500 and nothing of theirs is stored; others are served', async () => {
  region = await startBroker(GRACE);
  const { broker } = region;
  const raw = await connect(broker.address);
  // Long enough to be known by its header: the fast road must not pass the gate.
  for (let n = 100; n < 140; n++) {
    raw.write(send(n, V5_3_1 + 1));
    expect((await raw.next()).code).toBe(0);
  }
  const stopped = broker.stop();
  await until(async () => {
    raw.write(send(200, V5_3_1 + 1));
    return (await raw.next()).code === 1500;
  }, 'the farewell');
  const end = broker.store.storeBounds().maxOffset;
  raw.write(send(201, V5_3_1 + 1));
  const away = await raw.next();
  expect([away.code, away.remark, away.opaque]).toEqual([1500, 'please go away', 201]);
  expect(broker.store.storeBounds().maxOffset).toBe(end);
  expect(broker.health().reasons).toEqual(['the broker is stopping']);
  raw.write(send(202, V5_3_1));
  expect((await raw.next()).code).toBe(0);
  expect(broker.store.storeBounds().maxOffset).toBeGreaterThan(end);
  raw.close();
  // Alone: the ten minutes are not waited for.
  region.client.close();
  await stopped;
});

test('a held pull is answered, so that its client goes too', async () => {
  region = await startBroker(GRACE);
  await region.send('T', 'm');
  const held = region.pull('T', 1, { suspendMs: HELD_MS });
  // One connection, requests in order: the pull is held when this is answered.
  await region.call(105, { topic: 'x' });
  const stopped = region.broker.stop();
  expect((await held).code).toBe(19);
  region.client.close();
  await stopped;
});

test('without the key a stop closes the connections at once', async () => {
  region = await startBroker({ shutdownWaitTimeSeconds: 600 });
  const raw = await connect(region.broker.address);
  const stopped = region.broker.stop();
  await until(() => raw.isClosed, 'the end of its connection');
  await stopped;
});

test('clients that stay are cut off after shutdownWaitTimeSeconds', async () => {
  region = await startBroker({ ...GRACE, shutdownWaitTimeSeconds: 1 });
  const raw = await connect(region.broker.address);
  const stopped = region.broker.stop();
  await until(() => raw.isClosed, 'the end of its connection');
  await stopped;
});
