// A stock 5.5.0 region and our broker behind our name server, and programs of one feature at either of them:
// what the test files of this folder share. Ours is a process of its own: a load of a test must not
// keep it from answering.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { expect } from 'vitest';
import { AdminClient } from '../../../core-broker/client/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import { boundOf } from '../../support/stock/served.ts';
import { TapWire } from '../../support/stock/tap-wire.ts';
import { Child } from '../peers/child.ts';
import {
  type ClientOptions,
  type HistoryEvent,
  type RunningClient,
  startClient,
} from '../peers/clients.ts';
import { ensurePeers, jarsOf } from '../peers/install.ts';
import { SHORT_LIVED_JVM } from '../peers/jvm.ts';
import { ourRegion, type Region, stockRegion } from '../peers/region.ts';

const QUEUES = 2;
export const COUNT = 10;
export const PATIENCE = { timeoutMs: 120_000 };
const BENCHMARK = 'org.apache.rocketmq.example.benchmark';
const PROPERTIES = {
  ...{ enablePropertyFilter: true, recallMessageEnable: true },
  // Longer than a client that was just started may take from a half message to its end.
  ...{ transactionCheckInterval: 1_000, transactionTimeOut: 6_000, transactionCheckMax: 1_000 },
};

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-client-features-'));
const wire = new TapWire();
const sites = new Map<string, Region>();
const children: Child[] = [];

/** Starts both; once per file. */
export async function openSites(): Promise<void> {
  await ensurePeers('server-5.5.0', 'client-5.5.0', 'go-client', 'ali-ons');
  // By its default 5.5.0 asks about what was settled less than 3 s ago.
  const stockProperties = { ...PROPERTIES, transactionOpBatchInterval: 100 };
  const [stock, ours] = await Promise.all([
    stockRegion(folder, stockProperties),
    ourRegion(path.join(folder, 'ours-store'), {
      ...PROPERTIES,
      brokerClusterName: 'DefaultCluster',
    }),
  ]);
  sites.set('stock', stock).set('ours', ours);
}

export async function closeSites(): Promise<void> {
  wire.close();
  for (const child of children) child.kill();
  await Promise.all(children.map((child) => child.exited));
  for (const site of sites.values()) await site.close();
  fs.rmSync(folder, { recursive: true, force: true });
}

export type Start = Pick<ClientOptions, 'kind' | 'mode'> & {
  more?: Record<string, string | number>;
};

/** One feature at one site: a topic of its own, and groups and files named after it. */
export class Desk {
  readonly site: Region;
  readonly topic: string;
  readonly #where: string;

  private constructor(where: string, topic: string) {
    this.site = sites.get(where) as Region;
    this.topic = topic;
    this.#where = where;
  }

  static async open(where: string, topic: string): Promise<Desk> {
    const desk = new Desk(where, topic);
    const admin = new AdminClient({ nameservers: [desk.site.namesrv] });
    await admin.createTopic(desk.site.broker, { topic, queues: QUEUES });
    admin.close();
    return desk;
  }

  async start({ kind, mode, more = {} }: Start): Promise<RunningClient> {
    const client = await startClient({
      ...{ kind, mode, namesrv: this.site.namesrv, topic: this.topic },
      group: `${this.topic}-${mode}`,
      folder: path.join(folder, this.#where),
      name: `${this.topic}-${mode}-${Object.values(more).join('-').replace(/\W/g, '')}`,
      more: { poll: 1_000, ...more },
    });
    children.push(client.child);
    return client;
  }

  /** Sends COUNT messages. @returns what was acknowledged */
  async send(kind: Start['kind'], more: Record<string, string | number>): Promise<HistoryEvent[]> {
    const writer = await this.start({ kind, mode: 'produce', more: { count: COUNT, ...more } });
    const events = await writer.finished();
    expect(events.filter(({ phase }) => phase === 'ok')).toHaveLength(COUNT);
    return events;
  }

  /** A Java program of its own, its output in a file. */
  java(name: string, classpath: string, args: string[]): Child {
    const home = path.join(folder, `${this.#where}-home`);
    fs.mkdirSync(home, { recursive: true });
    const child = new Child({
      command: 'java',
      args: [
        ...['-Xmx192m', ...SHORT_LIVED_JVM, '-Drocketmq.client.logUseSlf4j=false'],
        `-Drmq.logback.configurationFile=${path.join(folder, 'broker/conf/logback.xml')}`,
        ...[`-Duser.home=${home}`, `-Drocketmq.home.dir=${home}`, '-cp', classpath, ...args],
      ],
      logFile: path.join(folder, `${this.#where}-${name}.log`),
      cwd: folder,
    });
    children.push(child);
    return child;
  }

  benchmark(program: string, words: string[]): Child {
    const common = ['-n', this.site.namesrv, '-t', this.topic];
    const args = [`${BENCHMARK}.${program}`, ...common, ...words];
    return this.java(`${this.topic}-${program}`, jarsOf('server-5.5.0'), args);
  }

  /** Messages in the topic, or in another one of so many queues. */
  async size(topic: string = this.topic, count = QUEUES): Promise<number> {
    const queues = Array.from({ length: count }, (_, queueId) =>
      boundOf(wire, this.site.broker, RequestCode.GET_MAX_OFFSET, { topic, queueId }),
    );
    return (await Promise.all(queues)).reduce((sum, max) => sum + max, 0);
  }

  /** Messages that a group has committed. */
  async consumed(group: string): Promise<number> {
    let sum = 0;
    for (let queueId = 0; queueId < QUEUES; queueId++) {
      const ext = { consumerGroup: group, topic: this.topic, queueId };
      const request = { code: RequestCode.QUERY_CONSUMER_OFFSET, ext };
      const answer = await wire.invoke(this.site.broker, request);
      sum += Number(answer.ext['offset'] ?? 0);
    }
    return sum;
  }
}
