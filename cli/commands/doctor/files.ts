// Probes of configuration files: are they valid, which ports and folders do they name, and is what they
// ask for safe: signed requests can be replayed without TLS, certificates run out.
import { X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parseHostPort, readPropertiesFile } from '../../../core-broker/base/index.ts';
import { loadBrokerConfig } from '../../../core-broker/broker/index.ts';
import { loadNameserverConfig } from '../../../core-broker/nameserver/index.ts';
import { loadGatewayConfig } from '../../../switchover/index.ts';
import { type DrConfig, loadDrConfig } from '../../config/dr-config.ts';
import { findingsOf, type Kind, kindOf } from '../config/kinds.ts';
import { type Finding, type FindingState, finding } from './finding.ts';
import type { PortWish } from './machine.ts';

const DAY_MS = 86_400_000;

/** What a set of files asks of this machine. */
export interface Plan {
  findings: Finding[];
  ports: PortWish[];
  folders: string[];
  nameservers: string[];
  dr: DrConfig | undefined;
}

const DEFAULT_PORTS: PortWish[] = [
  { host: '0.0.0.0', port: 9876, what: 'name server' },
  { host: '0.0.0.0', port: 10_911, what: 'broker' },
  { host: '0.0.0.0', port: 10_909, what: 'broker VIP' },
  { host: '0.0.0.0', port: 10_912, what: 'broker HA' },
];

/** @param file undefined: Apache's default ports and this folder */
export function planOf(file: string | undefined): Plan {
  const plan: Plan = { findings: [], ports: [], folders: [], nameservers: [], dr: undefined };
  if (file === undefined) return { ...plan, ports: DEFAULT_PORTS, folders: ['.'] };
  addFile(plan, file, kindOf(file));
  if (plan.folders.length === 0) plan.folders.push(path.dirname(path.resolve(file)));
  return plan;
}

function addFile(plan: Plan, file: string, kind: Kind): void {
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
    plan.findings.push(...safetyFindings(file));
  },
  nameserver: (plan, file) => {
    const { settings } = loadNameserverConfig(file);
    const { bindAddress: host, listenPort: port } = settings;
    plan.ports.push({ host, port, what: 'name server' });
    plan.findings.push(...safetyFindings(file));
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

/** Keys are read as text, so that a file of any version is judged alike. */
export function safetyFindings(file: string, nowMs: number = Date.now()): Finding[] {
  const { entries } = readPropertiesFile(file);
  const text = (key: string): string => entries.get(key)?.value ?? '';
  const hasTls = text('tls.enable') === 'true' || text('useTLS') === 'true';
  const isEnforced = text('tls.server.mode') === 'enforcing';
  const found: Finding[] = [];
  if (text('aclEnable') === 'true') {
    const state: FindingState = hasTls && isEnforced ? 'ok' : 'warn';
    const seen =
      state === 'ok' ? 'signed, and TLS is enforced' : 'signed requests without enforced TLS';
    const advice =
      'whoever sees such a request can send it again: tls.server.mode=enforcing closes that';
    found.push(finding('access', 'aclEnable', [state, seen, advice]));
  }
  for (const [key, { value }] of entries) {
    if (!/certPath$|trustCertPath$/i.test(key) || value === '') continue;
    found.push(certificateFinding(key, path.resolve(path.dirname(file), value), nowMs));
  }
  return found;
}

function certificateFinding(key: string, file: string, nowMs: number): Finding {
  try {
    const days = (Date.parse(new X509Certificate(fs.readFileSync(file)).validTo) - nowMs) / DAY_MS;
    const state: FindingState = days < 3 ? 'bad' : days < 30 ? 'warn' : 'ok';
    const seen = days < 0 ? 'has run out' : `valid for ${Math.floor(days)} days`;
    return finding('access', `${key} ${file}`, [state, seen, 'put a new certificate in its place']);
  } catch (reason) {
    const seen = `cannot be read: ${(reason as Error).message}`;
    return finding('access', `${key} ${file}`, ['bad', seen, 'name a PEM file this user may read']);
  }
}

export const isAddress = (text: string): boolean => parseHostPort(text) !== undefined;
