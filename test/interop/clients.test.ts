// Apache's Java clients 5.5.0 and 4.9.8, rocketmq-client-go v2 and ali-ons 3.12, each a program of its own: send,
// batch, push-consume, orderly, broadcast, retry, as far as the client can. The same code runs against a
// stock 5.5.0 region, so that a failure with ours is not a fault of these programs, and against our
// region behind its global name server and gateway, as clients are meant to be pointed at it.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { DrError } from '../../core-broker/base/index.ts';
import { AdminClient, createPeerClient } from '../../core-broker/client/index.ts';
import { decodeRecords, RequestCode } from '../../core-broker/protocol/index.ts';
import { freePort } from '../support/dr-parts.ts';
import { Stage } from '../support/regions/stage.ts';
import {
  type ClientKind,
  type ClientMode,
  type HistoryEvent,
  isSupported,
  type RunningClient,
  startClient,
  startReaders,
} from './peers/clients.ts';
import { ensurePeers } from './peers/install.ts';
import { startBroker, startNameserver } from './peers/rocketmq.ts';

interface Site {
  /** What clients are given. */
  namesrv: string;
  /** Where topics are created. */
  broker: string;
  folder: string;
  close(): Promise<void>;
}

const QUEUES = 4;
const ROUNDS_MAX = 20;
const SINGLES = 40;
const BATCHED = 32;
const KINDS: ClientKind[] = ['java-5.5.0', 'java-4.9.8', 'go', 'ali-ons'];
const TRACED: ClientKind[] = ['java-5.5.0', 'java-4.9.8'];
const READERS: ClientMode[] = ['consume', 'orderly', 'broadcast', 'retry'];

async function stockSite(): Promise<Site> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-clients-stock-'));
  const version = '5.5.0' as const;
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of closers.reverse()) await step();
    fs.rmSync(folder, { recursive: true });
  };
  try {
    const port = await freePort();
    const namesrv = await startNameserver({ version, folder: path.join(folder, 'ns'), port });
    closers.push(() => namesrv.kill());
    const broker = await startBroker({
      version,
      folder: path.join(folder, 'broker'),
      port: await freePort(true),
      namesrv: namesrv.address,
    });
    closers.push(() => broker.kill());
    return { namesrv: namesrv.address, broker: broker.address, folder, close };
  } catch (reason) {
    await close();
    throw reason;
  }
}

async function ourSite(): Promise<Site> {
  const stage = await Stage.layOut('clients-ours', { gateway: true });
  try {
    await Promise.all([stage.regions.startGlobal(), stage.regions.startRegion('east')]);
    await stage.ready('east');
  } catch (reason) {
    await stage.close();
    throw reason;
  }
  return {
    namesrv: stage.regions.globalNameserver,
    broker: stage.files('east').broker,
    folder: stage.folder,
    close: () => stage.close(),
  };
}

const keysOf = (events: HistoryEvent[], isWanted: (event: HistoryEvent) => boolean) =>
  events.filter(isWanted).map(({ key }) => key);
const sent = (events: HistoryEvent[]) => keysOf(events, ({ phase }) => phase === 'ok');
const seen = (events: HistoryEvent[]) => keysOf(events, ({ op }) => op === 'consume');

const SITES = { 'a stock 5.5.0 region': stockSite, 'our region': ourSite } as const;
type SiteName = keyof typeof SITES;

const sites = new Map<SiteName, Site>();
const clients: RunningClient[] = [];

beforeAll(async () => {
  await ensurePeers(
    'server-5.5.0',
    'java-client-5.5.0',
    'java-client-4.9.8',
    'go-client',
    'ali-ons',
  );
  const opened = Object.entries(SITES).map(async ([name, open]) =>
    sites.set(name as SiteName, await open()),
  );
  await Promise.all(opened);
  for (const { namesrv, broker } of sites.values()) {
    const admin = new AdminClient({ nameservers: [namesrv] });
    for (const kind of KINDS)
      await admin.createTopic(broker, { topic: topicOf(kind), queues: QUEUES });
    admin.close();
  }
});
afterAll(async () => {
  for (const { child } of clients) child.kill();
  await Promise.all(clients.map(({ child }) => child.exited));
  for (const site of sites.values()) await site.close();
});

// Together: most of the time is spent waiting for retries and rebalances of the clients.
describe.concurrent.each(Object.keys(SITES) as SiteName[])('%s', (name) => {
  test.each(KINDS)(
    '%s sends, batches, consumes, in order, broadcast, again, traced',
    async (kind) => {
      const desk = new ClientDesk(name, kind);
      const readers = await desk.startReaders();
      // Broadcasting may start at the end of a queue: placed everywhere before what is counted is sent.
      await desk.warmUp([...readers.values()]);
      const keys = await desk.sendAll();
      for (const [mode, reader] of readers) {
        await waitFor(`${kind} ${mode}`, () => hasAll(keys, seen(reader.events())), PATIENCE);
      }
      const retried = () => redelivered(readers.get('retry')?.events() ?? []);
      await waitFor(`${kind} to get all again`, () => hasAll(keys, retried()), PATIENCE);
      expectInOrder(readers.get('orderly')?.events() ?? []);
      if (TRACED.includes(kind)) await expectTrace(sites.get(name) as Site, keys[0] as string);
      await Promise.all([...readers.values()].map((reader) => reader.stop()));
    },
  );
});

async function expectTrace(site: Site, key: string): Promise<void> {
  for (const event of ['Pub', 'SubBefore', 'SubAfter']) {
    const isWritten = async () => (await traceOf(site, key)).includes(event);
    await waitFor(`${event} in the trace`, isWritten, PATIENCE);
  }
}

/** What a traced client wrote about a message, one line per event. */
async function traceOf({ broker }: Site, key: string): Promise<string> {
  const peer = createPeerClient();
  const ext = {
    topic: 'RMQ_SYS_TRACE_TOPIC',
    key,
    maxNum: 32,
    beginTimestamp: 0,
    endTimestamp: Date.now() + DAY_MS,
  };
  try {
    const answer = await peer.invoke(broker, { code: RequestCode.QUERY_MESSAGE, ext }, 5_000);
    const records = answer.code === 0 && answer.body ? decodeRecords(answer.body) : [];
    return records.map(({ body }) => body.toString()).join('\n');
  } finally {
    peer.close();
  }
}

const DAY_MS = 86_400_000;
const PATIENCE = { timeoutMs: 120_000 };
const topicOf = (kind: ClientKind): string => `modes-${kind.replaceAll('.', '_')}`;
const redelivered = (events: HistoryEvent[]) =>
  keysOf(events, ({ reconsume = 0 }) => reconsume > 0);

function hasAll(wanted: string[], present: string[]): boolean {
  const found = new Set(present);
  return wanted.every((key) => found.has(key));
}

/** Programs of one client library at one site. */
class ClientDesk {
  readonly #site: Site;
  readonly #name: SiteName;
  readonly #kind: ClientKind;

  constructor(name: SiteName, kind: ClientKind) {
    const site = sites.get(name);
    if (!site) throw new Error(`${name} is not up`);
    this.#site = site;
    this.#name = name;
    this.#kind = kind;
  }

  async start(mode: ClientMode, more: Record<string, string | number>): Promise<RunningClient> {
    const trace = mode === 'produce' && TRACED.includes(this.#kind) ? 'on' : 'off';
    const client = await startClient({ ...this.#options(mode, { trace, ...more }), mode });
    clients.push(client);
    return client;
  }

  async startReaders(): Promise<Map<ClientMode, RunningClient>> {
    const modes = READERS.filter((mode) => isSupported(this.#kind, mode));
    const trace = TRACED.includes(this.#kind) ? 'consume' : 'off';
    const readers = await startReaders(this.#options('%', { trace }), modes);
    clients.push(...readers.values());
    return readers;
  }

  #options(mode: string, more: Record<string, string | number>) {
    const { namesrv, folder } = this.#site;
    const name = `${this.#kind.replaceAll('.', '_')}-${mode}`;
    // ali-ons reads the route of its retry topic at the next poll only.
    const all = { poll: 1_000, ...more };
    const topic = topicOf(this.#kind);
    return { kind: this.#kind, namesrv, folder, name, topic, group: name, more: all };
  }

  /** Sends until every reader has got something from every queue. */
  async warmUp(readers: RunningClient[]): Promise<void> {
    const isPlaced = ({ events }: RunningClient) =>
      new Set(events().map(({ queue }) => queue)).size === QUEUES;
    for (let round = 0; round === 0 || !readers.every(isPlaced); round++) {
      if (round > ROUNDS_MAX) throw new Error(`${this.#kind}: a reader is never placed`);
      const more = { count: 3 * QUEUES, rate: 100, prefix: `warm${round}` };
      await (await this.start('produce', more)).finished();
      await waitFor('readers', () => readers.every(isPlaced), { timeoutMs: 3_000 }).catch(
        (reason: unknown) => {
          // Expected of a reader that was placed behind these: the next round shows.
          if (!DrError.is(reason, 'TIMEOUT')) throw reason;
        },
      );
    }
  }

  /** @returns the keys that were acknowledged; a stock broker refuses some while the machine is busy */
  async sendAll(): Promise<string[]> {
    const producer = await this.start('produce', { count: SINGLES, rate: 100, prefix: 'one' });
    const keys = sent(await producer.finished());
    this.#expectSent(keys, SINGLES);
    if (!isSupported(this.#kind, 'batch')) return keys;
    const batch = await this.start('batch', { count: BATCHED, rate: 100, prefix: 'many' });
    const batched = sent(await batch.finished());
    this.#expectSent(batched, BATCHED);
    return [...keys, ...batched];
  }

  #expectSent(keys: string[], count: number): void {
    const least = this.#name === 'our region' ? count : 1;
    expect(keys.length).toBeGreaterThanOrEqual(least);
  }
}

/** Offsets of a queue come as they lie in it. */
function expectInOrder(events: HistoryEvent[]): void {
  for (const queue of new Set(events.map((event) => event.queue))) {
    const offsets = events
      .filter((event) => event.queue === queue)
      .map(({ offset }) => offset ?? -1);
    expect(offsets, queue).toEqual([...offsets].sort((left, right) => left - right));
  }
}
