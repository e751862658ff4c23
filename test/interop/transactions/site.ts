// Brokers for the tests of transactions: ours and stock ones behind one stock name server, each over a
// store that the test names, with rounds of checks that the test chooses.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { freePort } from '../../../cli/demo/process.ts';
import { spawnBroker } from '../../support/broker-process.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from '../peers/rocketmq.ts';

export const PATIENCE = { timeoutMs: 60_000 };
/** Rounds at once, or none while the test lasts. */
export const QUICK = {
  ...{ transactionCheckInterval: 500, transactionTimeOut: 1_000 },
  transactionCheckMax: 100_000,
};
export const NEVER = { transactionCheckInterval: 86_400_000, transactionTimeOut: 86_400_000 };

const SHAPE = {
  mappedFileSizeCommitLog: 1_048_576,
  mappedFileSizeConsumeQueue: 6_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
};

export type Kind = 'ours' | ServerVersion;

export interface Holder {
  address: string;
  /** Clean: the next holder of its store finds everything. */
  stop(): Promise<unknown>;
  /** SIGKILL; the name server forgets it at once, which the next broker of its name needs. */
  kill(): Promise<unknown>;
}

export class Site {
  readonly folder: string;
  readonly nameserver: RunningServer;
  readonly #running: { kill(): Promise<unknown> }[] = [];

  private constructor(folder: string, nameserver: RunningServer) {
    this.folder = folder;
    this.nameserver = nameserver;
  }

  static async open(): Promise<Site> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-interop-tx-'));
    const where = { folder: path.join(folder, 'ns'), port: await freePort() };
    return new Site(folder, await startNameserver({ version: '5.5.0', ...where }));
  }

  /** A broker over the store `name`; stops once, by the test or with the site. */
  async broker(kind: Kind, name: string, rules: Record<string, number>): Promise<Holder> {
    const root = path.join(this.folder, name);
    const running = await (kind === 'ours'
      ? this.#ours(root, rules)
      : this.#stock(kind, root, rules));
    this.#running.push(running);
    let stopping: Promise<unknown> | undefined;
    return {
      address: running.address,
      kill: () => running.kill(),
      stop: () => {
        stopping ??= running.stop();
        return stopping;
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.map((each) => each.kill()));
    await this.nameserver.kill();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  #ours(root: string, rules: Record<string, number>) {
    return spawnBroker(root, {
      ...{ ...SHAPE, ...rules, namesrvAddr: this.nameserver.address },
      brokerClusterName: 'DefaultCluster',
    });
  }

  async #stock(version: ServerVersion, root: string, rules: Record<string, number>) {
    return startBroker({
      version,
      folder: `${root}-${version}`,
      port: await freePort(true),
      namesrv: this.nameserver.address,
      properties: {
        ...{ ...SHAPE, ...rules, storePathRootDir: root },
        storePathCommitLog: path.join(root, 'commitlog'),
        // By its default 5.5.0 asks about what was settled less than 3 s ago.
        ...(version === '5.5.0' ? { transactionOpBatchInterval: 100 } : {}),
      },
    });
  }
}
