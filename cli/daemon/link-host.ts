// The link of a region node: exists while the store is a standby, follows whom the signed requests to
// the broker say. Implements the broker's LinkControl port over the replicator.
// Which source a standby follows survives a restart in `drSource` beside the store's epoch file.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createLog, DrError, writeAtomicSync } from '../../core-broker/base/index.ts';
import type { Broker, LinkControl } from '../../core-broker/broker/index.ts';
import type {
  FinalSyncResult,
  LinkReport,
  OpRequest,
  ReverseRequest,
  TailReport,
} from '../../core-broker/protocol/index.ts';
import { createLogLink, type Link } from '../../replicator/index.ts';
import type { DrConfig } from '../config/dr-config.ts';

const log = createLog('link-host');

interface Source {
  region: string;
  address: string;
}

export class LinkHost implements LinkControl {
  readonly #broker: Broker;
  readonly #config: DrConfig;
  readonly #sourceFile: string;
  /** Requests may come as soon as the broker listens; they wait until the link is there. */
  readonly #isStarted = Promise.withResolvers<void>();
  #link: Link | undefined;

  constructor(broker: Broker, config: DrConfig) {
    this.#broker = broker;
    this.#config = config;
    this.#sourceFile = path.join(broker.storeRoot, 'drSource');
  }

  /** Starts the link when the store says standby; an active store has none. */
  async startWhenStandby(): Promise<void> {
    if (this.#broker.status()?.role === 'standby') {
      await this.#follow(this.#readSource() ?? this.#otherRegion());
    }
    this.#isStarted.resolve();
  }

  ready(): Promise<void> {
    return this.#isStarted.promise;
  }

  /** Why the link is not green; empty when it is, or when this region has none. */
  problems(): string[] {
    const health = this.#link?.health();
    return health && !health.isHealthy ? [`link: ${health.why}`] : [];
  }

  report(): LinkReport | undefined {
    return this.#link?.status();
  }

  tailReport(): TailReport {
    const { store } = this.#broker;
    return this.#required().tailReport((queue) => {
      const at = queue.lastIndexOf('@');
      const ref = { topic: queue.slice(0, at), queueId: Number(queue.slice(at + 1)) };
      return store.bounds(ref)?.max ?? 0;
    });
  }

  async halt(request: OpRequest): Promise<void> {
    await this.ready();
    return this.#required().halt(request.opId);
  }

  async resume(request: OpRequest): Promise<void> {
    await this.ready();
    return this.#required().resume(request.opId);
  }

  async finalSync(request: OpRequest): Promise<FinalSyncResult> {
    await this.ready();
    return this.#required().finalSync(request.opId);
  }

  noteSource(request: ReverseRequest): void {
    writeAtomicSync(this.#sourceFile, `${JSON.stringify(sourceOf(request))}\n`);
  }

  async reverse(request: ReverseRequest): Promise<void> {
    await this.ready();
    await this.stop();
    // A standby that is sent to another source was not told before.
    this.noteSource(request);
    await this.#follow(sourceOf(request));
  }

  async stop(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    await link?.stop();
  }

  async #follow(source: Source): Promise<void> {
    const { sink, metadataSink } = this.#broker;
    if (!sink || !metadataSink) throw new DrError('UNEXPECTED', 'a broker without a dr section');
    log.info('link.following', `following ${source.region}`, { ...source });
    this.#link = createLogLink(
      {
        source: source.address,
        stateDir: this.#broker.storeRoot,
        ownRegion: this.#config.region,
        ownStoreId: this.#broker.status()?.storeId ?? '',
        secret: this.#config.secret,
        config: this.#config.link,
      },
      sink,
      metadataSink,
    );
    await this.#link.start();
  }

  #required(): Link {
    if (this.#link) return this.#link;
    throw new DrError('REFUSED', `region ${this.#config.region} has no link now`);
  }

  #readSource(): Source | undefined {
    if (!fs.existsSync(this.#sourceFile)) return undefined;
    return JSON.parse(fs.readFileSync(this.#sourceFile, 'utf8')) as Source;
  }

  /** With two regions, a standby that was never told follows the other one. */
  #otherRegion(): Source {
    const { region, regions } = this.#config;
    const other = Object.entries(regions).find(([name]) => name !== region);
    const address = Object.values(other?.[1].brokers ?? {})[0];
    if (!other || !address) throw new DrError('CONFIG', 'no other region to follow');
    return { region: other[0], address };
  }
}

const sourceOf = (request: ReverseRequest): Source => ({
  region: request.sourceRegion,
  address: request.source,
});
