// The long-running programs: dr nameserver, dr broker, dr gateway, dr standby. Each loads its files,
// says what it will not honour, runs until a signal and stops cleanly.
import { createLog } from '../../core-broker/base/index.ts';
import {
  createGlobalNameServer,
  createNameServer,
  loadNameserverConfig,
  type NameServer,
} from '../../core-broker/nameserver/index.ts';
import { createGateway, loadGatewayConfig } from '../../switchover/index.ts';
import type { CommandInput } from '../command.ts';
import { becomeIdentity, openDrConfig } from '../config/identity.ts';
import { HttpEndpoint } from '../daemon/http.ts';
import { createRegionNode, type RegionNode } from '../daemon/region-node.ts';
import { runUntilSignal } from '../daemon/run-until-signal.ts';
import { createStandbyDaemon } from '../daemon/standby-daemon.ts';

const log = createLog('cli');

function warnAll(warnings: string[]): void {
  for (const warning of warnings) log.warn('config.not-supported', warning);
}

const fileOf = (input: CommandInput): string => String(input.options['config']);

/** `dr nameserver -c FILE`: regional, or global when the file says drMode. */
export function runNameserver(input: CommandInput): Promise<number> {
  const config = loadNameserverConfig(fileOf(input));
  warnAll(config.warnings);
  becomeIdentity(undefined, { credentialsFile: config.credentialsFile, tls: config.tls.client });
  const server =
    config.global === undefined ? createNameServer({ config }) : createGlobalNameServer({ config });
  const { drHttpPort: port, drHttpHost: host } = config.settings;
  const http = port === 0 ? undefined : nameserverHttp(server, { host, port });
  return runUntilSignal({
    // Order: the service first; its health has nothing to say before.
    start: async () => {
      await server.start();
      await http?.start();
    },
    stop: async () => {
      await http?.stop();
      await server.stop();
    },
    facts: () => ({
      address: server.address,
      mode: config.global?.mode ?? 'regional',
      ...(http ? { http: `${host}:${port}` } : {}),
    }),
  });
}

function nameserverHttp(server: NameServer, at: { host: string; port: number }): HttpEndpoint {
  return new HttpEndpoint({
    ...at,
    health: () => {
      const { reasons } = server.health();
      return { ready: reasons.length === 0, reasons };
    },
    status: () => server.status(),
  });
}

/** `dr broker -c FILE [--dr dr.yaml]`. */
export function runBroker(input: CommandInput): Promise<number> {
  const { dr } = input.options;
  const node = createRegionNode({
    brokerFile: fileOf(input),
    ...(typeof dr === 'string' ? { dr: openDrConfig(dr) } : {}),
  });
  const { drHttpPort: port, drHttpHost: host } = node.settings;
  const http = port === 0 ? undefined : brokerHttp(node, { host, port });
  return runUntilSignal({
    // Order: HTTP first, so that a broker that recovers for long can be seen.
    start: async () => {
      await http?.start();
      await node.start();
    },
    stop: async () => {
      await node.stop();
      await http?.stop();
    },
    facts: () => ({ ...node.facts(), ...(http ? { http: `${host}:${port}` } : {}) }),
  });
}

function brokerHttp(node: RegionNode, at: { host: string; port: number }): HttpEndpoint {
  return new HttpEndpoint({
    ...at,
    health: () => node.health(),
    status: () => ({ ...node.broker.status(), health: node.health() }),
  });
}

/** `dr gateway -c FILE`. */
export function runGateway(input: CommandInput): Promise<number> {
  const config = loadGatewayConfig(fileOf(input));
  warnAll(config.warnings);
  const gateway = createGateway({ config });
  return runUntilSignal({
    start: () => gateway.start(),
    stop: () => gateway.stop(),
    facts: () => ({ control: gateway.controlAddress }),
  });
}

/** `dr standby -c dr.yaml`: the daemon of a region, whatever role it has. */
export function runStandby(input: CommandInput): Promise<number> {
  return runUntilSignal(createStandbyDaemon(openDrConfig(fileOf(input))));
}
