// The stage of link tests: a source of real sockets, a sink in memory, a folder, fast timings.
// Everything is made before each test and taken down after it.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import {
  createLogLink,
  type Link,
  type LinkOptions,
  linkConfigSchema,
  type MetadataSnapshot,
} from '../../replicator/index.ts';
import { HaSource } from './ha-source.ts';
import { MemorySink } from './memory-sink.ts';
import { recordLog } from './record-log.ts';
import { type WanProxy, wanProxy } from './wan-proxy.ts';

export const FILE_BYTES = 16 * 1024;

const FAST = {
  sampleMs: 20,
  ackMs: 0,
  reportMs: 100,
  backOffFirstMs: 10,
  backOffMaxMs: 20,
  metadataMs: 100,
};

export class LinkStage {
  folder = '';
  source: HaSource = new HaSource(recordLog({ fileBytes: FILE_BYTES }));
  sink = new MemorySink();
  /** Metadata snapshots the standby got. */
  applied: MetadataSnapshot[] = [];
  readonly #links: Link[] = [];
  readonly #proxies: WanProxy[] = [];

  constructor() {
    beforeEach(() => this.#up());
    afterEach(() => this.#down());
  }

  link(config: object = {}, change: Partial<LinkOptions> = {}): Link {
    const link = createLogLink(
      {
        source: this.source.address,
        stateDir: this.folder,
        ownRegion: 'east',
        ownStoreId: 'standby-store',
        secret: this.source.secret,
        config: linkConfigSchema.parse({ ...FAST, ...config }),
        ...change,
      },
      this.sink,
      {
        apply: (snapshot) => {
          this.applied.push(snapshot);
          return { topics: 1, groups: 1, offsets: 2, delayLevels: 1 };
        },
      },
    );
    this.#links.push(link);
    return link;
  }

  /** Puts a proxy between the link and the HA port. */
  async throughProxy(): Promise<WanProxy> {
    const proxy = await this.proxy(this.source.haAddress);
    this.source.haAddressOverride = proxy.address;
    return proxy;
  }

  async proxy(target: string): Promise<WanProxy> {
    const proxy = await wanProxy(target);
    this.#proxies.push(proxy);
    return proxy;
  }

  fill(count: number, bodyBytes = 300): void {
    for (let i = 0; i < count; i++) this.source.log.append(bodyBytes + (i % 50));
  }

  isLevel = (): boolean => this.sink.validatedEnd() === this.source.log.end;

  isEqual(): boolean {
    return this.sink.bytes.equals(this.source.log.bytes);
  }

  has(name: string): boolean {
    return fs.existsSync(path.join(this.folder, name));
  }

  read(name: string) {
    return JSON.parse(fs.readFileSync(path.join(this.folder, name), 'utf8'));
  }

  async #up(): Promise<void> {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-link-'));
    this.source = await new HaSource(recordLog({ fileBytes: FILE_BYTES })).start();
    this.sink = new MemorySink();
    this.applied = [];
  }

  async #down(): Promise<void> {
    for (const link of this.#links.splice(0)) await link.stop();
    for (const proxy of this.#proxies.splice(0)) await proxy.stop();
    await this.source.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
