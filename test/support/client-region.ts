// One name server and one plain broker in this process, for tests of the client library.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type Broker, brokerConfig, createBroker } from '../../core-broker/broker/index.ts';
import { AdminClient } from '../../core-broker/client/index.ts';
import {
  createNameServer,
  type NameServer,
  regionalConfig,
} from '../../core-broker/nameserver/index.ts';

export class ClientRegion {
  readonly root: string;
  readonly nameserver: NameServer;
  broker: Broker | undefined;
  #admin: AdminClient | undefined;
  #port = 0;

  private constructor(root: string) {
    this.root = root;
    this.nameserver = createNameServer({
      config: regionalConfig({
        bindAddress: '127.0.0.1',
        listenPort: 0,
        configStorePath: path.join(root, 'namesrv.properties'),
        kvConfigPath: path.join(root, 'kvConfig.json'),
      }),
    });
  }

  static async start(): Promise<ClientRegion> {
    const region = new ClientRegion(fs.mkdtempSync(path.join(os.tmpdir(), 'dr-client-')));
    await region.nameserver.start();
    await region.up();
    return region;
  }

  get nameservers(): string[] {
    return [this.nameserver.address];
  }

  get address(): string {
    return this.broker?.address ?? '';
  }

  get admin(): AdminClient {
    this.#admin ??= new AdminClient({ nameservers: this.nameservers });
    return this.#admin;
  }

  /** Starts the broker, on the same port as before. */
  async up(): Promise<void> {
    this.broker = createBroker({
      config: brokerConfig({
        brokerClusterName: 'TestCluster',
        brokerName: 'broker-a',
        brokerIP1: '127.0.0.1',
        bindAddress: '127.0.0.1',
        listenPort: this.#port,
        haListenPort: 0,
        storePathRootDir: path.join(this.root, 'store'),
        mappedFileSizeCommitLog: 4 * 1024 * 1024,
        mappedFileSizeConsumeQueue: 20 * 1024,
        messageIndexEnable: false,
        messageDelayLevel: '1s 1s 1s 1s',
        namesrvAddr: this.nameserver.address,
      }),
      onFailure: (reason) => {
        throw reason;
      },
    });
    await this.broker.start();
    this.#port = Number(this.broker.address.split(':').at(-1));
  }

  async down(): Promise<void> {
    await this.broker?.stop();
  }

  /** Creates a topic and waits until the name server knows it. */
  async topic(topic: string, queues = 4): Promise<string> {
    await this.admin.createTopic(this.address, { topic, queues });
    return topic;
  }

  async stop(): Promise<void> {
    this.#admin?.close();
    await this.down();
    await this.nameserver.stop();
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}
