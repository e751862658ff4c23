// Name servers and gateways of a test: own temp folder, ports from the system, everything stopped and
// removed at the end. One object per test file.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Secret, type Service } from '../../core-broker/base/index.ts';
import {
  createDrClient,
  createPeerClient,
  type DrClient,
  type PeerClient,
} from '../../core-broker/client/index.ts';
import {
  createGlobalNameServer,
  createNameServer,
  type GlobalNameServer,
  loadNameserverConfig,
  type NameServer,
  regionalConfig,
} from '../../core-broker/nameserver/index.ts';
import { createGateway, type Gateway, loadGatewayConfig } from '../../switchover/gateway/index.ts';

export { freePort } from '../../cli/demo/process.ts';

type RegionalChanges = Partial<Parameters<typeof regionalConfig>[0]>;

export class DrParts {
  readonly folder: string = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-parts-'));
  readonly secret: Secret = new Secret('the secret of this test');
  readonly peer: PeerClient = createPeerClient();
  readonly dr: DrClient;
  readonly #running = new Set<Service>();
  #serial = 0;

  constructor() {
    fs.writeFileSync(path.join(this.folder, 'secret'), this.secret.reveal());
    this.dr = createDrClient({ secret: this.secret });
  }

  async nameserver(changes: RegionalChanges = {}): Promise<NameServer> {
    const serial = this.#serial++;
    const config = regionalConfig({
      listenPort: 0,
      bindAddress: '127.0.0.1',
      configStorePath: path.join(this.folder, `ns-${serial}.conf`),
      kvConfigPath: path.join(this.folder, `kv-${serial}.json`),
      ...changes,
    });
    return this.run(createNameServer({ config }));
  }

  /** @param regions region -> name-server addresses @param state name of the state file */
  async global(
    regions: Record<string, string[]>,
    options: { state?: string; lines?: string[] } = {},
  ): Promise<GlobalNameServer> {
    const lists = Object.entries(regions).map(([name, list]) => `${name}=${list.join(';')}`);
    const file = this.write('global.conf', [
      'listenPort=0',
      'bindAddress=127.0.0.1',
      'drMode=global',
      `drRegions=${lists.join('|')}`,
      'drActiveRegion=east',
      `drStatePath=${options.state ?? `global-${this.#serial++}`}`,
      'drSecretFile=secret',
      'drPollIntervalMs=50',
      ...(options.lines ?? []),
    ]);
    return this.run(createGlobalNameServer({ config: loadNameserverConfig(file) }));
  }

  /** @param regions region -> address of the one broker, broker-a */
  async gateway(regions: Record<string, string>, state?: string): Promise<Gateway> {
    const lists = Object.entries(regions).map(([name, at]) => `${name}=broker-a=${at}`);
    const file = this.write('gateway.conf', [
      'drListen=broker-a=127.0.0.1:0',
      `drRegions=${lists.join('|')}`,
      'drActiveRegion=east',
      `drStatePath=${state ?? `gateway-${this.#serial++}`}`,
      'drSecretFile=secret',
      'drControlAddress=127.0.0.1',
    ]);
    return this.run(createGateway({ config: loadGatewayConfig(file) }));
  }

  write(name: string, lines: string[]): string {
    const file = path.join(this.folder, name);
    fs.writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  }

  async run<T extends Service>(service: T): Promise<T> {
    await service.start();
    this.#running.add(service);
    return service;
  }

  async stop(service: Service): Promise<void> {
    this.#running.delete(service);
    await service.stop();
  }

  async close(): Promise<void> {
    this.peer.close();
    this.dr.close();
    await Promise.all([...this.#running].map((service) => service.stop()));
    fs.rmSync(this.folder, { recursive: true });
  }
}
