// Which operation a verb works on. The journal knows it; when the control store was lost, the brokers
// do: a fence, a seal or a halted link carries the operation's id, and the id tells the kind.
// New ids are never reused, so a rebuilt operation is the same operation.
import { randomBytes } from 'node:crypto';
import { DrError } from '../../core-broker/base/index.ts';
import type { DrStatus } from '../../core-broker/protocol/index.ts';
import type { SwitchoverConfig } from '../config.ts';
import type { BrokerReport } from '../door.ts';
import type { Operation, OperationKind } from '../journal.ts';

const PREFIX: Record<OperationKind, string> = { planned: 'switchover', failover: 'failover' };

/** E.g. `switchover-20261121T083001Z-9f2c11aa`. */
export function newOpId(kind: OperationKind, nowMs: number): string {
  const at = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${PREFIX[kind]}-${at}-${randomBytes(4).toString('hex')}`;
}

/** The two regions of a switch. */
export interface Direction {
  from: string;
  to: string;
  /** Highest epoch any answering broker has or heard of. */
  epoch: number;
}

/** Region that writes: the active role at the highest epoch that anybody has or heard of. */
export function activeRegionOf(reports: readonly BrokerReport[]): {
  region: string | undefined;
  epoch: number;
} {
  let best: { region: string | undefined; epoch: number } = { region: undefined, epoch: -1 };
  for (const { region, status } of reports) {
    if (!status) continue;
    if (status.activeRegion && status.activeEpoch > best.epoch) {
      best = { region: status.activeRegion, epoch: status.activeEpoch };
    }
    const isActive = status.role === 'active' && status.writeState !== 'deposed';
    if (isActive && status.epoch >= best.epoch) best = { region, epoch: status.epoch };
  }
  return best.epoch < 0 ? { region: undefined, epoch: 0 } : best;
}

/**
 * From where to where, by what the brokers say.
 * @throws DrError UNREACHABLE when nobody knows the active region, USAGE, REFUSED
 */
export function directionOf(
  reports: readonly BrokerReport[],
  regions: readonly string[],
  wanted: string | undefined,
): Direction {
  if (wanted !== undefined && !regions.includes(wanted)) {
    throw new DrError('USAGE', `no region ${wanted}; known: ${regions.join(', ')}`);
  }
  const others = (region: string) => regions.filter((each) => each !== region);
  const active = activeRegionOf(reports);
  const from = active.region ?? guessFrom(reports, regions, wanted);
  if (from === undefined) {
    throw new DrError('UNREACHABLE', 'no broker answers: nobody knows the active region', {
      hint: 'check addresses and secret with `dr doctor`',
    });
  }
  if (from === wanted) throw new DrError('REFUSED', `${wanted} is the active region already`);
  const to = wanted ?? (others(from).length === 1 ? others(from)[0] : undefined);
  if (to === undefined) throw new DrError('USAGE', 'more than two regions: name one with --to');
  return { from, to, epoch: active.epoch };
}

/** A standby that never heard of its active side still shows which one is not active. */
function guessFrom(
  reports: readonly BrokerReport[],
  regions: readonly string[],
  wanted: string | undefined,
): string | undefined {
  const standby = wanted ?? reports.find(({ status }) => status?.role === 'standby')?.region;
  const rest = regions.filter((region) => region !== standby);
  return standby !== undefined && rest.length === 1 ? rest[0] : undefined;
}

/** The trace an unfinished operation leaves at brokers; undefined when there is none. */
export function traceOf(reports: readonly BrokerReport[]): { opId: string } | undefined {
  for (const { status } of reports) {
    const opId = status && traceIn(status);
    if (opId) return { opId };
  }
  return undefined;
}

function traceIn(status: DrStatus): string | undefined {
  if (status.role === 'standby') return status.link?.haltedBy;
  const isClosed = status.writeState === 'fenced' || status.writeState === 'sealed';
  return isClosed ? status.opId : undefined;
}

/** Rebuilds a forgotten operation from its trace. */
export function rebuildOperation(
  opId: string,
  reports: readonly BrokerReport[],
  settings: SwitchoverConfig & { nowMs: number },
): Operation | undefined {
  const promoted = reports.find(
    ({ status }) =>
      status?.role === 'active' &&
      status.opId === opId &&
      status.writeState !== 'deposed' &&
      !traceIn(status),
  );
  const sealed = reports.find(
    ({ status }) => status?.role === 'active' && traceIn(status) === opId,
  );
  const halted = reports.find(
    ({ status }) => status?.role === 'standby' && traceIn(status) === opId,
  );
  const regions = [...new Set(reports.map(({ region }) => region))];
  const to = promoted?.region ?? halted?.region ?? other(regions, sealed?.region);
  const from = sealed?.region ?? other(regions, to);
  const epoch =
    sealed?.status?.epoch ?? halted?.status?.epoch ?? (promoted?.status?.epoch ?? 0) - 1;
  if (from === undefined || to === undefined || epoch < 0) return undefined;
  return {
    opId,
    kind: opId.startsWith(`${PREFIX.failover}-`) ? 'failover' : 'planned',
    from,
    to,
    fromEpoch: epoch,
    maxWritePauseMs: settings.maxWritePauseMs,
    reverseLink: settings.reverseLink,
    startedAtMs: settings.nowMs,
    endedAtMs: undefined,
    outcome: undefined,
    isRebuilt: true,
  };
}

const other = (regions: readonly string[], region: string | undefined): string | undefined =>
  region === undefined || regions.length !== 2
    ? undefined
    : regions.find((each) => each !== region);
