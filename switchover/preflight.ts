// The checks before anything is touched, one line each with what was found. Pure.
// A planned switch needs all of them; a failover only those about the standby, because it must work
// with the old region black-holed.
import type { DrStatus } from '../core-broker/protocol/index.ts';
import type { SwitchoverConfig } from './config.ts';
import type { ClusterView, PairView } from './phase.ts';

export interface PreflightCheck {
  name: string;
  isOk: boolean;
  /** What was found, with numbers. */
  detail: string;
}

/** A lag sample older than this says nothing about now. */
const SAMPLE_AGE_MS_MAX = 3_000;

export function checkPlanned(view: ClusterView, settings: SwitchoverConfig): PreflightCheck[] {
  const perPair = view.pairs.flatMap((pair) => checkPair(pair, settings));
  return [
    checkNames(view),
    ...perPair,
    checkOneEpoch(view, 'active'),
    checkTopics(view),
    ...checkFlips(view),
  ];
}

export function checkFailover(view: ClusterView): PreflightCheck[] {
  const perPair = view.pairs.flatMap(({ brokerName, target }) => [
    check(`standby ${brokerName} answers`, target !== undefined, target ? 'yes' : 'no answer'),
    ...(target ? checkStandby(brokerName, target) : []),
  ]);
  return [checkNames(view), ...perPair, checkOneEpoch(view, 'standby')];
}

function checkPair({ brokerName, source, target }: PairView, settings: SwitchoverConfig) {
  const answers = [
    check(`active ${brokerName} answers`, source !== undefined, source ? 'yes' : 'no answer'),
    check(`standby ${brokerName} answers`, target !== undefined, target ? 'yes' : 'no answer'),
  ];
  if (!source || !target) return answers;
  return [
    ...answers,
    check(
      `${brokerName}: active side is open`,
      source.role === 'active' && source.writeState === 'open',
      `${source.role}, ${source.writeState}${source.opId ? ` by ${source.opId}` : ''}`,
    ),
    ...checkStandby(brokerName, target),
    ...checkTwins(brokerName, source, target),
    ...checkLag(brokerName, target, settings),
  ];
}

function checkStandby(brokerName: string, target: DrStatus): PreflightCheck[] {
  return [
    check(
      `${brokerName}: standby side is a standby`,
      target.role === 'standby' && target.writeState === 'standby',
      `${target.role}, ${target.writeState}`,
    ),
    // Promoting below an epoch that already writes elsewhere would make two regions of one epoch.
    check(
      `${brokerName}: standby knows no higher epoch`,
      target.activeEpoch <= target.epoch,
      `epoch ${target.epoch}, highest heard of ${target.activeEpoch}`,
    ),
  ];
}

function checkTwins(brokerName: string, source: DrStatus, target: DrStatus): PreflightCheck[] {
  const same = (name: string, a: unknown, b: unknown) =>
    check(`${brokerName}: same ${name}`, a === b, a === b ? String(a) : `${a} and ${b}`);
  return [
    same('epoch', source.epoch, target.epoch),
    same('cluster name', source.clusterName, target.clusterName),
    same('broker name', source.brokerName, target.brokerName),
    same('mappedFileSizeCommitLog', source.mappedFileSizeCommitLog, target.mappedFileSizeCommitLog),
    // Clients whose account is missing over there would be locked out by the switch.
    check(
      `${brokerName}: same ACL accounts`,
      source.accounts === target.accounts,
      accountsFound(source, target),
    ),
    check(
      `${brokerName}: two different stores`,
      source.storeId !== target.storeId,
      source.storeId === target.storeId ? `one store under two names: ${source.storeId}` : 'yes',
    ),
  ];
}

function accountsFound({ accounts: here }: DrStatus, { accounts: there }: DrStatus): string {
  if (here === there) return here === undefined ? 'no ACL' : 'yes';
  if (here === undefined) return 'ACL only at the standby';
  return there === undefined
    ? 'ACL only at the active side'
    : 'keys, secrets or permissions differ';
}

function checkLag(brokerName: string, target: DrStatus, settings: SwitchoverConfig) {
  const { link } = target;
  if (!link) return [check(`${brokerName}: link is up`, false, 'no link at the standby')];
  const isUp = link.state === 'following' || link.state === 'catching-up';
  const ageMs = target.nowMs - link.sampledAtMs;
  const halted = link.haltedBy ? ` by ${link.haltedBy}` : '';
  return [
    check(
      `${brokerName}: link is up`,
      isUp,
      `${link.state}${halted} ${link.lastError ?? ''}`.trim(),
    ),
    check(
      `${brokerName}: lag sample is fresh`,
      link.sampledAtMs > 0 && ageMs <= SAMPLE_AGE_MS_MAX,
      link.sampledAtMs > 0 ? `${ageMs} ms old` : 'never sampled',
    ),
    check(
      `${brokerName}: lag is within limits`,
      link.lagMessages <= settings.maxLagMessages && link.lagMs <= settings.maxLagMs,
      `${link.lagMessages} messages (limit ${settings.maxLagMessages}), ` +
        `${link.lagMs} ms (limit ${settings.maxLagMs})`,
    ),
  ];
}

function checkNames(view: ClusterView): PreflightCheck {
  const isOk = view.unpaired.length === 0;
  const detail = isOk ? `${view.pairs.length}` : `only in one region: ${view.unpaired.join(', ')}`;
  return check('both regions have the same brokers', isOk, detail);
}

function checkOneEpoch(view: ClusterView, side: 'active' | 'standby'): PreflightCheck {
  const pick = side === 'active' ? 'source' : 'target';
  const epochs = new Set(view.pairs.map((pair) => pair[pick]?.epoch));
  return check(`one epoch in the ${side} region`, epochs.size === 1, [...epochs].join(', '));
}

function checkTopics(view: ClusterView): PreflightCheck {
  const isOk = view.topicMismatches.length === 0;
  return check('same queue counts', isOk, isOk ? 'yes' : view.topicMismatches.join('; '));
}

function checkFlips(view: ClusterView): PreflightCheck[] {
  const epoch = view.pairs[0]?.source?.epoch ?? 0;
  return view.flips.map(({ kind, address, status }) => {
    // A flip that already stands at another region would be ahead of the brokers.
    const isOk = status !== undefined && (status.epoch < epoch || status.region === view.from);
    const found = status ? `${status.region || 'no region'} at epoch ${status.epoch}` : 'no answer';
    return check(`${kind} ${address}`, isOk, found);
  });
}

const check = (name: string, isOk: boolean, detail: string): PreflightCheck => ({
  name,
  isOk,
  detail,
});
