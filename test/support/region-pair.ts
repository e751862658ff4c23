// Two real brokers of two regions in this process, on loopback, with small log files, and what a test
// needs to drive them by hand: signed requests, plain sends, a link that copies when told.
import * as fs from 'node:fs';
import { freePort } from '../../cli/demo/process.ts';
import { Secret } from '../../core-broker/base/index.ts';
import {
  type Broker,
  type BrokerConfigValues,
  brokerConfig,
  createBroker,
} from '../../core-broker/broker/index.ts';
import {
  createDrClient,
  createPeerClient,
  type DrClient,
  type PeerClient,
} from '../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus, type RemotingCommand } from '../../core-broker/protocol/index.ts';
import { MiniLink } from './mini-link.ts';
import { SMALL_FILE_BYTES, tempFolder } from './small-store.ts';

export const PAIR_SECRET = new Secret('a secret of tests');
export type RegionName = 'east' | 'west';
const OTHER = { east: 'west', west: 'east' } as const;

export interface Region {
  name: RegionName;
  root: string;
  port: number;
  address: string;
  /** Undefined while stopped. */
  broker: Broker | undefined;
  link: MiniLink | undefined;
}

export interface PairOptions {
  leaseMs?: number;
  standbyGroups?: string[];
  globalNameservers?: string[];
  /** Regional name server of each region. */
  nameservers?: Record<RegionName, string>;
  flushDiskType?: 'ASYNC_FLUSH' | 'SYNC_FLUSH';
  /** More configuration of both brokers. */
  values?: Partial<BrokerConfigValues>;
}

export class RegionPair {
  readonly dr: DrClient = createDrClient({ secret: PAIR_SECRET });
  readonly peer: PeerClient = createPeerClient();
  readonly east: Region;
  readonly west: Region;
  readonly #options: PairOptions;

  private constructor(ports: { east: number; west: number }, options: PairOptions) {
    this.#options = options;
    this.east = region('east', ports.east);
    this.west = region('west', ports.west);
  }

  /** Both regions up: east active and open, west its standby. */
  static async start(options: PairOptions = {}): Promise<RegionPair> {
    const pair = new RegionPair(
      { east: await freePort(true), west: await freePort(true) },
      options,
    );
    await pair.up('west');
    await pair.up('east');
    await pair.until('east', (status) => status.writeState === 'open');
    return pair;
  }

  async up(name: RegionName): Promise<Broker> {
    const own = this[name];
    const broker = createBroker({
      config: brokerConfig({
        brokerClusterName: 'TestCluster',
        brokerName: 'broker-a',
        brokerIP1: '127.0.0.1',
        bindAddress: '127.0.0.1',
        listenPort: own.port,
        haListenPort: 0,
        storePathRootDir: own.root,
        mappedFileSizeCommitLog: SMALL_FILE_BYTES,
        mappedFileSizeConsumeQueue: 20 * 1024,
        maxMessageSize: 32 * 1024,
        defaultTopicQueueNums: 1,
        messageIndexEnable: false,
        messageDelayLevel: '1s 2s',
        flushDiskType: this.#options.flushDiskType ?? 'ASYNC_FLUSH',
        namesrvAddr: this.#options.nameservers?.[name] ?? '',
        ...this.#options.values,
      }),
      onFailure: (reason) => {
        throw reason;
      },
      dr: {
        region: name,
        initialRole: name === 'east' ? 'active' : 'standby',
        secret: PAIR_SECRET,
        regions: {
          east: { nameservers: [], brokers: { 'broker-a': this.east.address } },
          west: { nameservers: [], brokers: { 'broker-a': this.west.address } },
        },
        globalNameservers: this.#options.globalNameservers ?? [],
        standbyGroups: this.#options.standbyGroups ?? [],
        leaseMs: this.#options.leaseMs ?? 0,
        haAllow: [],
      },
    });
    own.link = new MiniLink(broker, this[OTHER[name]].address, this);
    broker.useLink(own.link);
    await broker.start();
    own.broker = broker;
    return broker;
  }

  async down(name: RegionName): Promise<void> {
    const { broker } = this[name];
    this[name].broker = undefined;
    await broker?.stop();
    // Calls that fail take the old connections with them: what follows meets the next broker of this port.
    const { address } = this[name];
    await this.peer.invoke(address, { code: 28 }, 5_000).catch(() => undefined);
    await this.ask(name, DR_CODE.STATUS).catch(() => undefined);
  }

  /** A signed request to the broker of a region. */
  ask<T = DrStatus>(name: RegionName, code: number, body: object = {}): Promise<T> {
    return this.dr.control<T>(this[name].address, { code, body }, 30_000);
  }

  status(name: RegionName): DrStatus {
    const status = this[name].broker?.status();
    if (status === undefined) throw new Error(`${name} is down`);
    return status;
  }

  async until(name: RegionName, isSo: (status: DrStatus) => boolean): Promise<void> {
    for (const started = Date.now(); !isSo(this.status(name)); ) {
      if (Date.now() - started > 60_000) {
        throw new Error(`${name} stays ${JSON.stringify(this.status(name))}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** One plain send (code 10), over this pair's shared client connection or another one. */
  send(address: string, body: string, more: SendMore = {}): Promise<RemotingCommand> {
    return (more.peer ?? this.peer).invoke(address, sendRequest(body, more), 10_000);
  }

  async stop(): Promise<void> {
    for (const name of ['east', 'west'] as const) {
      await this.down(name);
      fs.rmSync(this[name].root, { recursive: true, force: true });
    }
    this.dr.close();
    this.peer.close();
  }
}

/** Heartbeat of a consumer of the group `readers`. */
export const READERS_HEARTBEAT = {
  clientID: 'client-1',
  producerDataSet: [],
  consumerDataSet: [
    {
      groupName: 'readers',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      subscriptionDataSet: [],
      unitMode: false,
    },
  ],
};

export interface SendMore {
  topic?: string;
  properties?: string;
  peer?: PeerClient;
}

export const sendRequest = (
  body: string,
  { topic = 'TopicTest', properties = '' }: SendMore = {},
) => ({
  code: 10,
  ext: {
    producerGroup: 'producers',
    topic,
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 1,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: Date.now(),
    flag: 0,
    properties,
    reconsumeTimes: 0,
    unitMode: false,
    batch: false,
  },
  body,
});

const region = (name: RegionName, port: number): Region => ({
  name,
  root: tempFolder(name),
  port,
  address: `127.0.0.1:${port}`,
  broker: undefined,
  link: undefined,
});
