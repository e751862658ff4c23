// The loss statement of a failover: what the new region will not have, said before it acts. Pure.
// Two parts per broker: *confirmed missing* = below an end of the old side that somebody saw;
// *unknown since T* = acknowledged after the last look, which nobody alive can count. T is undefined
// only when the old side is sealed and was seen at its sealed end: then the statement is exact.
import type {
  DrStatus,
  LinkStatusResult,
  SealedTailToken,
  TailReport,
} from '../core-broker/protocol/index.ts';

/** What is known about one broker pair. */
export interface TailEvidence {
  brokerName: string;
  tail: TailReport;
  /** The old side's status, when it answers the controller. */
  old: DrStatus | undefined;
  /** The old side's own answer for positions from tail.validatedEnd on. */
  live: LinkStatusResult | undefined;
  /** Its sealed end, when this failover could seal it. */
  token: SealedTailToken | undefined;
}

export interface BrokerLoss {
  brokerName: string;
  /** Commit-log end from which the standby is promoted. */
  validatedEnd: number;
  /** Highest commit-log end of the old side that was seen. */
  sourceEnd: number;
  missingBytes: number;
  /** Wall clock of the last look at the old side, ms; 0 = never. */
  sampledAtMs: number;
  oldSide: 'sealed' | 'answers' | 'silent';
  /** Acknowledged after this wall-clock time may be lost too; 0 = no look ever; undefined = exact. */
  unknownSinceMs: number | undefined;
  queues: { queue: string; standbyMax: number; sourceMax: number; missing: number }[];
}

export interface LossStatement {
  from: string;
  to: string;
  madeAtMs: number;
  confirmedMissing: number;
  missingBytes: number;
  unknownSinceMs: number | undefined;
  /** True when the old side may go on acknowledging. */
  mayStillAcknowledge: boolean;
  brokers: BrokerLoss[];
}

export interface StatementInput {
  from: string;
  to: string;
  nowMs: number;
  brokers: TailEvidence[];
}

export function makeStatement(input: StatementInput): LossStatement {
  const brokers = input.brokers.map(lossOf);
  const unknown = brokers.flatMap(({ unknownSinceMs }) =>
    unknownSinceMs === undefined ? [] : [unknownSinceMs],
  );
  return {
    from: input.from,
    to: input.to,
    madeAtMs: input.nowMs,
    confirmedMissing: brokers
      .flatMap(({ queues }) => queues)
      .reduce((sum, { missing }) => sum + missing, 0),
    missingBytes: brokers.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
    unknownSinceMs: unknown.length > 0 ? Math.min(...unknown) : undefined,
    mayStillAcknowledge: brokers.some(({ oldSide }) => oldSide !== 'sealed'),
    brokers,
  };
}

function lossOf({ brokerName, tail, old, live, token }: TailEvidence): BrokerLoss {
  const sourceEnd = Math.max(tail.sourceEnd, live?.maxOffset ?? 0, token?.logEnd ?? 0);
  const isExact =
    token !== undefined && Math.max(tail.sourceEnd, live?.maxOffset ?? 0) === token.logEnd;
  const sampledAtMs = Math.max(tail.sampledAtMs, live?.nowMs ?? 0);
  const oldSide = token ? 'sealed' : old ? 'answers' : 'silent';
  return {
    brokerName,
    validatedEnd: tail.validatedEnd,
    sourceEnd,
    missingBytes: Math.max(0, sourceEnd - tail.validatedEnd),
    sampledAtMs,
    oldSide,
    unknownSinceMs: isExact ? undefined : sampledAtMs,
    queues: queueLosses(tail, live?.queueMaxima ?? {}),
  };
}

/** Queues with something missing, sorted; the later look at a queue wins because maxima only grow. */
function queueLosses(tail: TailReport, liveMaxima: Record<string, number>): BrokerLoss['queues'] {
  const ends = new Map(tail.queues.map((q) => [q.queue, { ...q }]));
  for (const [queue, max] of Object.entries(liveMaxima)) {
    const known = ends.get(queue) ?? { queue, standbyMax: 0, sourceMax: 0 };
    ends.set(queue, { ...known, sourceMax: Math.max(known.sourceMax, max) });
  }
  return [...ends.values()]
    .map((q) => ({ ...q, missing: Math.max(0, q.sourceMax - q.standbyMax) }))
    .filter((q) => q.missing > 0)
    .sort((a, b) => (a.queue < b.queue ? -1 : 1));
}

/** The statement for a terminal, one fact per line. */
export function renderStatement(statement: LossStatement): string {
  const { from, to, confirmedMissing, missingBytes } = statement;
  return [
    `Failover from ${from} to ${to}:`,
    `  confirmed missing: ${confirmedMissing} messages, ${missingBytes} bytes of commit log`,
    ...statement.brokers.flatMap(renderBroker),
    `  ${renderUnknown(statement.unknownSinceMs)}`,
    ...(statement.mayStillAcknowledge
      ? [
          `  an old side that is alive but cut off goes on acknowledging until its lease, if one is`,
        ].concat(`  configured, runs out; what it acknowledges from now on is not in ${to}`)
      : []),
  ].join('\n');
}

function renderBroker(broker: BrokerLoss): string[] {
  return [
    `  ${broker.brokerName}: old side ${broker.oldSide}, standby holds ${broker.validatedEnd} ` +
      `of ${broker.sourceEnd} bytes seen`,
    ...broker.queues.map(
      ({ queue, missing, standbyMax, sourceMax }) =>
        `    ${queue}: ${missing} missing (standby ends at ${standbyMax}, old side at ${sourceMax})`,
    ),
  ];
}

function renderUnknown(sinceMs: number | undefined): string {
  if (sinceMs === undefined)
    return 'nothing unknown: the old side is sealed and was read to its end';
  if (sinceMs === 0) return 'unknown: everything; the old side was never sampled';
  return `unknown: whatever was acknowledged after ${new Date(sinceMs).toISOString()}`;
}
