// Probes of what can be reached: name servers, the brokers they list with version and clock, and, with
// dr.yaml, whether both regions agree on who is active at which epoch.
import { DrError } from '../../../core-broker/base/index.ts';
import { AdminWire, createDrClient, runtimeInfo } from '../../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus, versionText } from '../../../core-broker/protocol/index.ts';
import type { DrConfig } from '../../config/dr-config.ts';
import { byLimits, type Finding, finding } from './finding.ts';

/** Above it the gateway cuts connections at a planned switch instead of handing them over. */
const CLOCK_BAD_MS = 300_000;
/** Runtime info counts in seconds: less than this says nothing. */
const CLOCK_WARN_MS = 5_000;

export async function peerFindings(
  nameservers: readonly string[],
  timeoutMs: number,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const reached: string[] = [];
  for (const address of nameservers) {
    const wire = new AdminWire({ nameservers: [address], timeoutMs });
    try {
      const places = await wire.places();
      found.push(
        finding('peers', `name server ${address}`, ['ok', `brokers registered: ${places.length}`]),
      );
      reached.push(...places.map((place) => place.address));
    } catch (reason) {
      found.push(silent(`name server ${address}`, reason));
    } finally {
      wire.close();
    }
  }
  const wire = new AdminWire({ nameservers, timeoutMs });
  for (const address of new Set(reached)) found.push(...(await brokerFindings(wire, address)));
  wire.close();
  return found;
}

const silent = (check: string, reason: unknown): Finding =>
  finding('peers', check, [
    'warn',
    `no answer: ${DrError.from(reason).message}`,
    'start it, or open the way to it; fine before the first start',
  ]);

async function brokerFindings(wire: AdminWire, address: string): Promise<Finding[]> {
  try {
    const startMs = Date.now();
    const info = await runtimeInfo(wire, address);
    const nowMs = (startMs + Date.now()) / 2;
    const version = info['brokerVersionDesc'] ?? versionText(Number(info['brokerVersion'] ?? 0));
    const found = [finding('peers', `broker ${address}`, ['ok', `version ${version}`])];
    const theirs = clockOf(info);
    if (theirs === undefined) return found;
    return [...found, clockFinding(`broker ${address}`, theirs, nowMs)];
  } catch (reason) {
    return [silent(`broker ${address}`, reason)];
  }
}

function clockFinding(check: string, theirMs: number, nowMs: number = Date.now()): Finding {
  const apart = Math.abs(nowMs - theirMs);
  const state = byLimits(apart, CLOCK_WARN_MS, CLOCK_BAD_MS);
  const seen = state === 'ok' ? 'the same to some seconds' : `${Math.round(apart / 1000)} s apart`;
  return finding('clock', check, [
    state,
    seen,
    'set both clocks by the same source (chrony, ntpd)',
  ]);
}

/** A broker's clock from when it booted and for how long it has run; undefined when it does not say. */
export function clockOf(info: Record<string, string>): number | undefined {
  const boot = Number(info['bootTimestamp'] ?? 0);
  const part = (unit: string): number =>
    Number(new RegExp(`(\\d+) ${unit}`).exec(info['runtime'] ?? '')?.[1] ?? 0);
  if (boot === 0 || info['runtime'] === undefined) return undefined;
  const seconds =
    part('days') * 86_400 + part('hours') * 3_600 + part('minutes') * 60 + part('seconds');
  return boot + seconds * 1_000 + 500;
}

export async function regionFindings(config: DrConfig, timeoutMs: number): Promise<Finding[]> {
  const client = createDrClient({ secret: config.secret });
  const known: { region: string; status: DrStatus }[] = [];
  const found: Finding[] = [];
  try {
    for (const [region, { brokers }] of Object.entries(config.regions)) {
      for (const [name, address] of Object.entries(brokers)) {
        const check = `${region} ${name} ${address}`;
        try {
          const request = { code: DR_CODE.STATUS, body: {} };
          const status = await client.control<DrStatus>(address, request, timeoutMs);
          known.push({ region, status });
          const { role, writeState, epoch } = status;
          found.push(finding('regions', check, ['ok', `${role}, ${writeState}, epoch ${epoch}`]));
          found.push(clockFinding(check, status.nowMs));
        } catch (reason) {
          found.push({ ...silent(check, reason), area: 'regions' });
        }
      }
    }
  } finally {
    client.close();
  }
  return known.length === 0 ? found : [...found, agreement(known)];
}

/** One region open for writes, and nobody behind the newest epoch. */
export function agreement(known: { region: string; status: DrStatus }[]): Finding {
  const open = known.filter(
    ({ status }) => status.role === 'active' && status.writeState === 'open',
  );
  const newest = Math.max(...known.map(({ status }) => status.epoch));
  const old = known.filter(({ status }) => status.epoch < newest);
  const check = 'one active region, one epoch';
  if (open.length > 1) {
    const seen = `${open.map(({ region }) => region).join(' and ')} both take writes`;
    const advice = 'stop one at once; docs/runbook-switchover.md says how to find what it took';
    return finding('regions', check, ['bad', seen, advice]);
  }
  if (open.length === 0) {
    const advice = 'dr status says why; dr resume, dr activate or dr failover go on';
    return finding('regions', check, ['warn', 'no region takes writes', advice]);
  }
  if (old.length > 0) {
    const seen = `${old.map(({ region }) => region).join(', ')} is behind epoch ${newest}`;
    return finding('regions', check, ['warn', seen, 'dr status, then dr rejoin in that region']);
  }
  return finding('regions', check, ['ok', `${open[0]?.region ?? ''} at epoch ${newest}`]);
}
