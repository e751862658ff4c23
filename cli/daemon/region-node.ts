// A region in one process: name server (optional), broker, and the link whenever the store is a
// standby. `dr broker --dr` and `dr standby` are both this node; which role it plays is what the
// store's drEpoch file says, so the same process serves before and after a switch.

import { createLog, DrError } from '../../core-broker/base/index.ts';
import {
  type Broker,
  type BrokerConfig,
  createBroker,
  loadBrokerConfig,
} from '../../core-broker/broker/index.ts';
import {
  createNameServer,
  loadNameserverConfig,
  type NameServer,
} from '../../core-broker/nameserver/index.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { becomeIdentity, brokerIdentity } from '../config/identity.ts';
import type { Health } from './http.ts';
import { LinkHost } from './link-host.ts';
import { die, type ServerProcess } from './run-until-signal.ts';

const log = createLog('region');

export interface RegionNodeOptions {
  brokerFile: string;
  nameserverFile?: string;
  /** Without it the broker is plain: no epochs, no link. */
  dr?: DrConfig;
}

export interface RegionNode extends ServerProcess {
  readonly broker: Broker;
  /** The broker's own file as it was read. */
  readonly settings: BrokerConfig;
  health(): Health;
}

/** Builds the node; nothing listens before start(). */
export function createRegionNode(options: RegionNodeOptions): RegionNode {
  const { dr } = options;
  const loaded = loadBrokerConfig(options.brokerFile);
  const nameserver = options.nameserverFile && loadNameserverConfig(options.nameserverFile);
  const warnings = [...loaded.warnings, ...(nameserver ? nameserver.warnings : [])];
  for (const warning of warnings) log.warn('config.not-supported', warning);
  if (dr && loaded.config.brokerName !== Object.keys(dr.regions[dr.region]?.brokers ?? {})[0]) {
    throw new DrError(
      'CONFIG',
      `${options.brokerFile}: brokerName=${loaded.config.brokerName} is not the broker that ` +
        `${dr.path} names for region ${dr.region}`,
    );
  }
  becomeIdentity(dr, brokerIdentity(loaded.config));
  const broker = createBroker({
    config: loaded.config,
    onFailure: (reason: DrError) => die(reason, 'broker'),
    ...(dr ? { dr: brokerOptions(dr) } : {}),
  });
  const names = nameserver ? createNameServer({ config: nameserver }) : undefined;
  return assemble({ broker, names, dr, settings: loaded.config });
}

function brokerOptions(dr: DrConfig) {
  return {
    region: dr.region,
    initialRole: dr.region === dr.initialActive ? ('active' as const) : ('standby' as const),
    secret: dr.secret,
    regions: dr.regions,
    globalNameservers: dr.flips.globalNameservers,
    standbyGroups: dr.standbyGroups,
    leaseMs: dr.leaseMs,
    haAllow: dr.haAllow,
  };
}

interface NodeParts {
  broker: Broker;
  names: NameServer | undefined;
  dr: DrConfig | undefined;
  settings: BrokerConfig;
}

function assemble({ broker, names, dr, settings }: NodeParts): RegionNode {
  const link = dr && new LinkHost(broker, dr);
  if (link) broker.useLink(link);
  return {
    broker,
    settings,
    start: async () => {
      // Order: name server first, so that the broker's first registration finds it.
      await names?.start();
      await broker.start();
      await link?.startWhenStandby();
    },
    stop: async () => {
      await link?.stop();
      await broker.stop();
      await names?.stop();
    },
    facts: () => ({
      broker: broker.address,
      ha: broker.haAddress,
      nameserver: names?.address,
      role: broker.status()?.role,
      epoch: broker.status()?.epoch,
    }),
    health: () => {
      const reasons = [...broker.health().reasons, ...(link?.problems() ?? [])];
      return { ready: reasons.length === 0, reasons };
    },
  };
}
