// Probes of configuration files: are they valid, which ports and folders do they name, who is this
// process to others by them. What they ask for in the way of access is judged in access.ts.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { brokerTls, loadBrokerConfig } from '../../../core-broker/broker/index.ts';
import { loadNameserverConfig } from '../../../core-broker/nameserver/index.ts';
import { loadGatewayConfig } from '../../../switchover/index.ts';
import { type DrConfig, loadDrConfig } from '../../config/dr-config.ts';
import { brokerIdentity, type IdentityFiles } from '../../config/identity.ts';
import { findingsOf, type Kind, kindOf } from '../config/kinds.ts';
import { accessFindings, haFinding } from './access.ts';
import { type Finding, finding } from './finding.ts';
import type { PortWish } from './machine.ts';

/** What a set of files asks of this machine. */
export interface Plan {
  /** All of the set, with their whole paths. */
  files: string[];
  findings: Finding[];
  ports: PortWish[];
  folders: string[];
  nameservers: string[];
  dr: DrConfig | undefined;
  /** Who this process is to servers with ACL or TLS, by the file of the broker or name server. */
  identity: IdentityFiles;
}

const DEFAULT_PORTS: PortWish[] = [
  { host: '0.0.0.0', port: 9876, what: 'name server' },
  { host: '0.0.0.0', port: 10_911, what: 'broker' },
  { host: '0.0.0.0', port: 10_909, what: 'broker VIP' },
  { host: '0.0.0.0', port: 10_912, what: 'broker HA' },
];

/** @param file undefined: Apache's default ports and this folder */
export function planOf(file: string | undefined): Plan {
  const plan: Plan = {
    files: [],
    findings: [],
    ports: [],
    folders: [],
    nameservers: [],
    dr: undefined,
    identity: {},
  };
  if (file === undefined) return { ...plan, ports: DEFAULT_PORTS, folders: ['.'] };
  addFile(plan, file, kindOf(file));
  if (plan.folders.length === 0) plan.folders.push(path.dirname(path.resolve(file)));
  return plan;
}

function addFile(plan: Plan, file: string, kind: Kind): void {
  plan.files.push(path.resolve(file));
  const { problems, warnings } = findingsOf(file, kind);
  for (const { message, hint } of problems) {
    plan.findings.push(finding('config', file, ['bad', message, hint ?? 'mend this line']));
  }
  for (const warning of warnings) {
    plan.findings.push(
      finding('config', file, ['warn', warning, 'remove the key when it is not needed']),
    );
  }
  if (problems.length > 0) return;
  if (warnings.length === 0) plan.findings.push(finding('config', file, ['ok', `valid (${kind})`]));
  ADD[kind](plan, file);
}

const ADD: Record<Kind, (plan: Plan, file: string) => void> = {
  dr: (plan, file) => {
    const dr = loadDrConfig(file);
    plan.dr = dr;
    plan.nameservers.push(...(dr.regions[dr.region]?.nameservers ?? []));
    plan.ports.push({ host: dr.http.host, port: dr.http.port, what: 'health and metrics' });
    if (dr.nameserver) addFile(plan, dr.resolve(dr.nameserver.config), 'nameserver');
    if (dr.broker) addFile(plan, dr.resolve(dr.broker.config), 'broker');
    plan.findings.push(secretFinding(dr.resolve(dr.secretFile)));
  },
  broker: (plan, file) => {
    const { config } = loadBrokerConfig(file);
    const host = config.bindAddress;
    plan.ports.push({ host, port: config.listenPort, what: 'broker' });
    if (config.listenPort > 2)
      plan.ports.push({ host, port: config.listenPort - 2, what: 'broker VIP' });
    plan.ports.push({ host, port: config.haListenPort, what: 'broker HA' });
    plan.folders.push(config.storePathRootDir);
    plan.nameservers.push(...config.namesrvAddr.split(/[;,]/).filter((text) => text.trim() !== ''));
    plan.identity = brokerIdentity(config);
    plan.findings.push(
      ...accessFindings({ aclEnable: config.aclEnable, tls: brokerTls(config) }),
      haFinding(config, plan.dr?.haAllow, brokerTls(config)),
    );
  },
  nameserver: (plan, file) => {
    const { settings, tls, credentialsFile } = loadNameserverConfig(file);
    const { bindAddress: host, listenPort: port } = settings;
    plan.ports.push({ host, port, what: 'name server' });
    plan.findings.push(...accessFindings({ aclEnable: false, tls }));
    plan.identity = { credentialsFile, tls: tls.client };
  },
  gateway: (plan, file) => {
    const config = loadGatewayConfig(file);
    for (const [name, { host, port }] of config.listen) {
      plan.ports.push({ host, port, what: `gateway of ${name}` });
    }
    plan.ports.push({ ...config.control, what: 'gateway control' });
  },
};

function secretFinding(file: string): Finding {
  const mode = fs.statSync(file).mode & 0o077;
  const seen = mode === 0 ? 'only its owner may read it' : 'others may read it';
  return finding('secrets', file, [mode === 0 ? 'ok' : 'warn', seen, `chmod 600 ${file}`]);
}
