// Two regions on one machine: writes their configuration files, starts their processes, knows their
// addresses. What it writes is what an operator would write; the demo and the tests share it.
//
//   clients -> global name server -> gateway -> active region
//              east: daemon (name server + broker + link)   west: the same
import * as fs from 'node:fs';
import * as path from 'node:path';
import { stringify } from 'yaml';
import { DR_ENTRY, freePort, type RunningProcess, startProcess, waitFor } from './process.ts';

export const REGION_NAMES = ['east', 'west'] as const;
export type RegionName = (typeof REGION_NAMES)[number];

export interface RegionFiles {
  name: RegionName;
  folder: string;
  drYaml: string;
  store: string;
  nameserver: string;
  broker: string;
  http: string;
}

export interface RegionsOptions {
  folder: string;
  flushDiskType?: 'ASYNC_FLUSH' | 'SYNC_FLUSH';
  mappedFileSizeCommitLog?: number;
  /** More lines for both broker files. */
  brokerLines?: string[];
  /** More top-level keys for both dr.yaml files. */
  drYaml?: Record<string, unknown>;
  gateway?: boolean;
}

const CLUSTER = 'orders-cluster';
const START_MS = 90_000;
export const BROKER_NAME = 'broker-a';

export interface Regions {
  folder: string;
  east: RegionFiles;
  west: RegionFiles;
  /** host:port that clients are given. */
  globalNameserver: string;
  gateway: string | undefined;
  processes: Map<string, RunningProcess>;
  startRegion(name: RegionName): Promise<RunningProcess>;
  startGlobal(): Promise<void>;
  stopAll(signal?: NodeJS.Signals): Promise<void>;
}

/** Writes every file; nothing runs yet. */
export async function layOutRegions(options: RegionsOptions): Promise<Regions> {
  const { folder } = options;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(
    path.join(folder, 'dr.secret'),
    `${crypto.randomUUID()}${crypto.randomUUID()}\n`,
    {
      mode: 0o600,
    },
  );
  const shared = {
    global: await freePort(),
    gateway: await freePort(true),
    gatewayControl: await freePort(),
  };
  const east = await layOutRegion('east', options);
  const west = await layOutRegion('west', options);
  for (const region of [east, west]) writeDrYaml(region, { east, west, shared, options });
  const files = writeSharedServers({ east, west, shared, options });
  return makeRegions({ options, east, west, shared, files });
}

interface SharedPorts {
  global: number;
  gateway: number;
  gatewayControl: number;
}

interface Layout {
  east: RegionFiles;
  west: RegionFiles;
  shared: SharedPorts;
  options: RegionsOptions;
}

async function layOutRegion(name: RegionName, options: RegionsOptions): Promise<RegionFiles> {
  const folder = path.join(options.folder, name);
  fs.mkdirSync(folder, { recursive: true });
  const nameserverPort = await freePort();
  const brokerPort = await freePort(true);
  const region: RegionFiles = {
    name,
    folder,
    drYaml: path.join(folder, 'dr.yaml'),
    store: path.join(folder, 'store'),
    nameserver: `127.0.0.1:${nameserverPort}`,
    broker: `127.0.0.1:${brokerPort}`,
    http: `127.0.0.1:${await freePort()}`,
  };
  writeLines(path.join(folder, 'namesrv.properties'), [
    `listenPort=${nameserverPort}`,
    'bindAddress=127.0.0.1',
    `kvConfigPath=${path.join(folder, 'kvConfig.json')}`,
    `configStorePath=${path.join(folder, 'namesrv-update.properties')}`,
  ]);
  writeLines(path.join(folder, 'broker.properties'), [
    `brokerClusterName=${CLUSTER}`,
    `brokerName=${BROKER_NAME}`,
    'brokerId=0',
    'brokerIP1=127.0.0.1',
    'brokerIP2=127.0.0.1',
    'bindAddress=127.0.0.1',
    `listenPort=${brokerPort}`,
    `haListenPort=${brokerPort + 1}`,
    `namesrvAddr=${region.nameserver}`,
    `storePathRootDir=${region.store}`,
    `storePathCommitLog=${path.join(region.store, 'commitlog')}`,
    `flushDiskType=${options.flushDiskType ?? 'ASYNC_FLUSH'}`,
    `mappedFileSizeCommitLog=${options.mappedFileSizeCommitLog ?? 64 * 1024 * 1024}`,
    ...(options.brokerLines ?? []),
  ]);
  return region;
}

function writeDrYaml(region: RegionFiles, layout: Layout): void {
  const { east, west, shared, options } = layout;
  const addresses = (of: RegionFiles) => ({
    nameservers: [of.nameserver],
    brokers: { [BROKER_NAME]: of.broker },
  });
  const [host, port] = region.http.split(':');
  const document = {
    region: region.name,
    regions: { east: addresses(east), west: addresses(west) },
    initialActive: 'east',
    secretFile: '../dr.secret',
    nameserver: { config: './namesrv.properties' },
    broker: { config: './broker.properties' },
    flips: {
      globalNameservers: [`127.0.0.1:${shared.global}`],
      gateways: options.gateway === false ? [] : [`127.0.0.1:${shared.gatewayControl}`],
    },
    controlStore: { kind: 'sqlite', path: './control.db' },
    http: { host, port: Number(port) },
    backup: { repository: { kind: 'file', path: '../backups' } },
    ...options.drYaml,
  };
  fs.writeFileSync(region.drYaml, stringify(document));
}

function writeSharedServers(layout: Layout): { global: string; gateway: string } {
  const { east, west, shared, options } = layout;
  const global = path.join(options.folder, 'global', 'namesrv.properties');
  const gateway = path.join(options.folder, 'gateway', 'gateway.properties');
  const secret = path.join(options.folder, 'dr.secret');
  writeLines(global, [
    `listenPort=${shared.global}`,
    'bindAddress=127.0.0.1',
    'drMode=global',
    `drRegions=east=${east.nameserver}|west=${west.nameserver}`,
    'drActiveRegion=east',
    `drStatePath=${path.join(options.folder, 'global', 'state.json')}`,
    `drSecretFile=${secret}`,
    ...(options.gateway === false ? [] : [`drGateways=${BROKER_NAME}=127.0.0.1:${shared.gateway}`]),
  ]);
  writeLines(gateway, [
    `drListen=${BROKER_NAME}=127.0.0.1:${shared.gateway}`,
    `drRegions=east=${BROKER_NAME}=${east.broker}|west=${BROKER_NAME}=${west.broker}`,
    'drActiveRegion=east',
    `drControlPort=${shared.gatewayControl}`,
    'drControlAddress=127.0.0.1',
    `drStatePath=${path.join(options.folder, 'gateway', 'state.json')}`,
    `drSecretFile=${secret}`,
  ]);
  return { global, gateway };
}

function writeLines(file: string, lines: string[]): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
}

function makeRegions(layout: Layout & { files: { global: string; gateway: string } }): Regions {
  const { options, east, west, shared, files } = layout;
  const processes = new Map<string, RunningProcess>();
  const start = (name: string, args: string[]): RunningProcess => {
    const logFile = path.join(options.folder, 'logs', `${name}.log`);
    const running = startProcess({ name, args: [DR_ENTRY, ...args], logFile });
    processes.set(name, running);
    return running;
  };
  return {
    folder: options.folder,
    east,
    west,
    globalNameserver: `127.0.0.1:${shared.global}`,
    gateway: options.gateway === false ? undefined : `127.0.0.1:${shared.gateway}`,
    processes,
    startRegion: async (name) => {
      const files = name === 'east' ? east : west;
      const running = start(name, ['standby', '-c', files.drYaml]);
      // Patient: it is watched, so a process that ended is noticed at once.
      const wait = { watch: [running], timeoutMs: START_MS };
      await waitFor(`region ${name} to answer`, () => isLive(files.http), wait);
      return running;
    },
    startGlobal: async () => {
      const started = [start('global', ['nameserver', '-c', files.global])];
      if (options.gateway !== false)
        started.push(start('gateway', ['gateway', '-c', files.gateway]));
      for (const running of started) {
        await waitFor(`${running.name} to listen`, () => hasLogged(running, 'server.ready'), {
          watch: [running],
        });
      }
    },
    stopAll: async (signal = 'SIGTERM') => {
      await Promise.all([...processes.values()].map((running) => running.stop(signal)));
    },
  };
}

/** True when the process has logged this event; every server logs `server.ready` once it listens. */
export function hasLogged(running: RunningProcess, event: string): boolean {
  return (
    fs.existsSync(running.logFile) &&
    fs.readFileSync(running.logFile, 'utf8').includes(`"event":"${event}"`)
  );
}

/** GET of a daemon's endpoint; undefined while it does not answer. */
export async function httpGet(
  address: string,
  route: string,
): Promise<{ status: number; body: string } | undefined> {
  try {
    const answer = await fetch(`http://${address}${route}`, { signal: AbortSignal.timeout(2_000) });
    return { status: answer.status, body: await answer.text() };
  } catch {
    // Expected while the daemon starts or is dead: the caller polls.
    return undefined;
  }
}

const isLive = async (http: string): Promise<boolean> =>
  (await httpGet(http, '/health/live'))?.status === 200;
