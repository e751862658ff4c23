// Routes, the probe and the mapping of control answers, against servers that say what the test wants.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DrError, Secret } from '../../core-broker/base/index.ts';
import {
  createDrClient,
  createPeerClient,
  type PeerClient,
  Probe,
  type ProbeSample,
  Producer,
  RouteCache,
} from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  DrRequestVerifier,
  parseMessageProperties,
  RequestCode,
  type ResponseInit,
} from '../../core-broker/protocol/index.ts';
import {
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
} from '../../core-broker/remoting/index.ts';
import { until } from '../support/until.ts';
import { type WanProxy, wanProxy } from '../support/wan-proxy.ts';

const servers: RemotingServer[] = [];
const proxies: WanProxy[] = [];
let peer: PeerClient;

beforeEach(() => {
  peer = createPeerClient();
});

afterEach(async () => {
  peer.close();
  for (const proxy of proxies.splice(0)) await proxy.stop();
  for (const server of servers.splice(0)) await server.close();
});

async function serve(handlers: [number, RequestHandler][]): Promise<string> {
  const listener = new RequestDispatcher({
    handlers: new Map(handlers),
    toResponse: (error) => ({ code: 1, remark: error.message }),
  });
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener });
  servers.push(server);
  return `127.0.0.1:${await server.listen()}`;
}

const routeTo = (address: string, queues = 1): ResponseInit => ({
  code: 0,
  body: JSON.stringify({
    brokerDatas: [{ brokerName: 'a', cluster: 'c', brokerAddrs: { 0: address } }],
    queueDatas: [{ brokerName: 'a', perm: 6, readQueueNums: queues, writeQueueNums: queues }],
  }),
});

const stored: RequestHandler = () => ({
  code: 0,
  ext: { msgId: '0'.repeat(32), queueId: 0, queueOffset: 1 },
});

/** A name server whose answer can be changed; counts its questions. */
async function nameserver(first: ResponseInit) {
  const state = { answer: first, asked: 0, address: '' };
  state.address = await serve([
    [
      RequestCode.GET_ROUTEINFO_BY_TOPIC,
      () => {
        state.asked++;
        return state.answer;
      },
    ],
  ]);
  return state;
}

describe('route cache', () => {
  test('a name server that is away is passed over, and the one that answered is kept', async () => {
    const good = await nameserver(routeTo('h:1'));
    const cache = new RouteCache(peer, { nameservers: ['127.0.0.1:1', good.address] });
    expect((await cache.route('t')).brokerDatas[0]?.brokerAddrs['0']).toBe('h:1');
    await cache.refresh('t');
    expect(good.asked).toBe(2);
  });

  test('a name server that hangs is passed over after its time-out', async () => {
    const good = await nameserver(routeTo('h:1'));
    const dark = await wanProxy(good.address);
    proxies.push(dark);
    dark.blackhole();
    const cache = new RouteCache(peer, {
      nameservers: [dark.address, good.address],
      timeoutMs: 200,
    });
    expect((await cache.route('t')).queueDatas).toHaveLength(1);
  });

  test('the last good route outlives a name server that forgot the topic', async () => {
    const names = await nameserver(routeTo('h:1'));
    const cache = new RouteCache(peer, { nameservers: [names.address] });
    await cache.route('t');
    names.answer = { code: 17, remark: 'no topic' };
    expect((await cache.refresh('t')).brokerDatas[0]?.brokerAddrs['0']).toBe('h:1');
    const reason = await cache.route('other').catch((failure: unknown) => failure);
    expect(DrError.is(reason, 'NO_ROUTE')).toBe(true);
  });

  test('a change is told once, by the poll', async () => {
    const names = await nameserver(routeTo('h:1'));
    const cache = new RouteCache(peer, { nameservers: [names.address], refreshIntervalMs: 10 });
    const told: string[] = [];
    cache.onChange((topic) => told.push(topic));
    cache.start();
    await cache.route('t');
    names.answer = routeTo('h:2');
    await until(() => cache.known('t')?.brokerDatas[0]?.brokerAddrs['0'] === 'h:2', 'new route');
    expect(told).toEqual(['t', 't']);
    cache.stop();
  });
});

describe('producer between regions', () => {
  test('a topic nobody has yet is created where the region opened meanwhile', async () => {
    const open = await serve([[RequestCode.SEND_MESSAGE_V2, stored]]);
    let perm = 4;
    const names = await serve([
      [
        RequestCode.GET_ROUTEINFO_BY_TOPIC,
        ({ ext }) => {
          if (ext['topic'] !== 'TBW102') return { code: 17 };
          const route = routeTo(open);
          const body = String(route.body).replace('"perm":6', `"perm":${perm}`);
          perm = 6;
          return { ...route, body };
        },
      ],
    ]);
    const producer = new Producer({ nameservers: [names], group: 'g' });
    const receipt = await producer.send({ topic: 'new', body: 'x' });
    expect(receipt).toMatchObject({ address: open, attempts: 2 });
    await producer.stop();
  });

  test('a refusal by a closed region is retried where the route points now', async () => {
    const open = await serve([[RequestCode.SEND_MESSAGE_V2, stored]]);
    const names = await nameserver({ code: 17 });
    const closed = await serve([
      [
        RequestCode.SEND_MESSAGE_V2,
        () => {
          names.answer = routeTo(open);
          return { code: 16, remark: 'fenced at epoch 2, active region west' };
        },
      ],
    ]);
    names.answer = routeTo(closed);
    const producer = new Producer({ nameservers: [names.address], group: 'g' });
    const receipt = await producer.send({ topic: 't', body: 'x' });
    expect(receipt).toMatchObject({ address: open, attempts: 2 });
    await producer.stop();
  });

  test('a refusal that no retry can change is thrown at once', async () => {
    let sends = 0;
    const broker = await serve([
      [
        RequestCode.SEND_MESSAGE_V2,
        () => {
          sends++;
          return { code: 13, remark: 'illegal' };
        },
      ],
    ]);
    const names = await nameserver(routeTo(broker));
    const producer = new Producer({ nameservers: [names.address], group: 'g' });
    await expect(producer.send({ topic: 't', body: 'x' })).rejects.toThrow(/13/);
    expect(sends).toBe(1);
    await producer.stop();
  });

  test('all tries of a send carry one message id', async () => {
    const ids: string[] = [];
    const broker = await serve([
      [
        RequestCode.SEND_MESSAGE_V2,
        (request) => {
          ids.push(parseMessageProperties(request.ext['i'] ?? '').get('UNIQ_KEY') ?? '');
          return ids.length < 3 ? { code: 2, remark: 'busy' } : stored(request, {} as never);
        },
      ],
    ]);
    const names = await nameserver(routeTo(broker));
    const producer = new Producer({ nameservers: [names.address], group: 'g' });
    const receipt = await producer.send({ topic: 't', body: 'x' });
    expect(ids).toEqual([receipt.msgId, receipt.msgId, receipt.msgId]);
    await producer.stop();
  });

  test('a region that vanished ends as an unknown effect, the next send works after it healed', async () => {
    const broker = await serve([[RequestCode.SEND_MESSAGE_V2, stored]]);
    const wan = await wanProxy(broker);
    proxies.push(wan);
    const names = await nameserver(routeTo(wan.address));
    const producer = new Producer({
      nameservers: [names.address],
      group: 'g',
      sendTimeoutMs: 2_000,
    });
    await producer.send({ topic: 't', body: 'x' });
    wan.blackhole();
    const reason = await producer
      .send({ topic: 't', body: 'x' })
      .catch((failure: unknown) => failure);
    expect(DrError.is(reason, 'TIMEOUT')).toBe(true);
    wan.heal();
    expect((await producer.send({ topic: 't', body: 'x' })).status).toBe('SEND_OK');
    await producer.stop();
  });

  test('a connection whose peer died without a word is replaced after one time-out', async () => {
    const broker = await serve([[RequestCode.SEND_MESSAGE_V2, stored]]);
    const wan = await wanProxy(broker);
    proxies.push(wan);
    const names = await nameserver(routeTo(wan.address));
    const producer = new Producer({
      nameservers: [names.address],
      group: 'g',
      sendTimeoutMs: 2_000,
    });
    await producer.send({ topic: 't', body: 'x' });
    wan.halfOpen();
    const reason = await producer
      .send({ topic: 't', body: 'x' })
      .catch((failure: unknown) => failure);
    expect(DrError.is(reason, 'TIMEOUT')).toBe(true);
    expect((await producer.send({ topic: 't', body: 'x' })).status).toBe('SEND_OK');
    await producer.stop();
  });
});

describe('probe', () => {
  test('one send open at a time, every try written down, the route followed', async () => {
    let open = 0;
    let most = 0;
    const slow: RequestHandler = async (request) => {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      return stored(request, {} as never);
    };
    const east = await serve([[RequestCode.SEND_MESSAGE_V2, slow]]);
    const west = await serve([[RequestCode.SEND_MESSAGE_V2, slow]]);
    const names = await nameserver(routeTo(east));
    const samples: ProbeSample[] = [];
    const probe = new Probe({
      nameservers: [names.address],
      topic: 'probe',
      pauseMs: 1,
      onSample: (sample) => samples.push(sample),
    });
    probe.start();
    await until(() => samples.length > 3, 'samples');
    await servers[0]?.close();
    await until(() => samples.some((sample) => sample.outcome === 'unknown'), 'a lost send');
    names.answer = routeTo(west);
    await until(() => samples.at(-1)?.address === west, 'moved');
    await probe.stop();
    expect(most).toBe(1);
    expect(samples.map((sample) => sample.sequence)).toEqual(samples.map((_, i) => i));
    expect(samples[0]).toMatchObject({ outcome: 'ok', address: east, error: undefined });
  });
});

describe('control answers', () => {
  test.each([
    [34000, 'FENCED'],
    [34001, 'VERIFY_FAILED'],
    [34002, 'REFUSED'],
    [16, 'AUTH'],
    [1, 'REMOTE'],
  ] as const)('code %i becomes %s', async (code, wanted) => {
    const address = await serve([
      [DR_CODE.SEAL, () => ({ code, remark: 'why', body: '{"epoch":9}' })],
    ]);
    const dr = createDrClient({ secret: new Secret('s') });
    const reason = await dr
      .control(address, { code: DR_CODE.SEAL, body: { opId: 'op' } })
      .catch((failure: unknown) => failure);
    if (!(reason instanceof DrError)) throw new Error('no DrError');
    expect(reason.code).toBe(wanted);
    expect(reason.context['code']).toBe(code);
    if (code === 34000) expect(reason.context['status']).toEqual({ epoch: 9 });
    dr.close();
  });

  test('requests are signed anew each time, with the opId of the body', async () => {
    const secret = new Secret('s');
    const verifier = new DrRequestVerifier(secret);
    const opIds: string[] = [];
    const address = await serve([
      [
        DR_CODE.SEAL,
        (request) => {
          opIds.push(verifier.verify(request, Date.now()));
          return { code: 0, body: '{"ok":true}' };
        },
      ],
    ]);
    const dr = createDrClient({ secret });
    for (let i = 0; i < 2; i++) {
      const answer = await dr.control(address, { code: DR_CODE.SEAL, body: { opId: 'op-7' } });
      expect(answer).toEqual({ ok: true });
    }
    expect(opIds).toEqual(['op-7', 'op-7']);
    dr.close();
  });
});
