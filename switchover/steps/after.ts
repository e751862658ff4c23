// What follows a promotion: flip, relay, reverse. Nothing here can undo; what is not reached becomes a
// problem of the result (exit 3) and is tried again by resume. Every request is idempotent by epoch or
// operation id.
import { DrError } from '../../core-broker/base/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type FlipRequest,
  type FlipResult,
} from '../../core-broker/protocol/index.ts';
import { isClosedBy } from '../phase.ts';
import { done, type Run, type StepOutcome } from './run.ts';

const ATTEMPTS = 3;
const PAUSE_MS = 100;
/** Following the new side means opening a store as standby: more than a status call. */
const REVERSE_TIMEOUT_MS = 10_000;

/** Names the new region to every global name server and gateway. */
export function flip(run: Run): Promise<StepOutcome> {
  const epoch = run.operation.fromEpoch + 1;
  // Only a side that sealed itself can be trusted to give its clients back in order.
  const handOver = run.operation.kind === 'planned';
  return flipTo(run, { opId: run.opId, region: run.to, epoch, handOver });
}

/** Flips to any region; also brings late flips to the epoch that brokers are at. */
export async function flipTo(run: Run, change: FlipRequest): Promise<StepOutcome> {
  const { flips } = run.tools.options;
  const moved: Record<string, number> = {};
  const targets = [...flips.gateways, ...flips.globalNameservers].map((address) => ({ address }));
  const problems = await everyone(run, targets, async ({ address }) => {
    const result = await run.control<FlipResult>(address, DR_CODE.FLIP, { ...change });
    if (result.epoch < change.epoch) {
      throw new DrError('REFUSED', `it stays at epoch ${result.epoch}`);
    }
    moved[address] = result.moved;
  });
  return { facts: { moved }, problems };
}

/** The sealed side splices the clients it still has to the promoted brokers. */
export async function relay(run: Run): Promise<StepOutcome> {
  // A failover relays only where the old side was sealed and answers: elsewhere nothing can be.
  const isNeeded = run.operation.kind === 'planned';
  const sealed = run.pairs.filter(
    ({ source }) => isNeeded || (source && isClosedBy(source, run.opId)),
  );
  const problems = await everyone(run, sealed, async ({ brokerName }) => {
    const status = await run.control<DrStatus>(run.sourceAddress(brokerName), DR_CODE.RELAY_START, {
      target: run.targetAddress(brokerName),
      region: run.to,
      epoch: run.operation.fromEpoch + 1,
    });
    run.patchSource(brokerName, status);
  });
  return { facts: { relayed: sealed.map(({ brokerName }) => brokerName) }, problems };
}

/** The old side follows the new one. */
export async function reverse(run: Run): Promise<StepOutcome> {
  if (!run.operation.reverseLink) return done({ isSkipped: true });
  const epoch = run.operation.fromEpoch + 1;
  const problems = await everyone(run, run.pairs, async ({ brokerName, source }) => {
    const target = run.targetAddress(brokerName);
    const isReversed = source?.role === 'standby' && source.epoch === epoch;
    // A side that was killed half-way may be a standby and follow nobody, or somebody else.
    if (isReversed && source.link?.source === target) return;
    const body = { source: target, sourceRegion: run.to, epoch };
    const address = run.sourceAddress(brokerName);
    run.patchSource(
      brokerName,
      await run.control<DrStatus>(address, DR_CODE.REVERSE, body, REVERSE_TIMEOUT_MS),
    );
  });
  return { facts: {}, problems };
}

/** Tries every target a few times, all at once; returns one sentence per target that failed. */
async function everyone<T extends object>(
  run: Run,
  targets: readonly T[],
  action: (target: T) => Promise<void>,
): Promise<string[]> {
  const problems = await Promise.all(
    targets.map((target) => attempt(run, () => action(target), nameOf(target))),
  );
  return problems.filter((problem) => problem !== undefined);
}

async function attempt(
  run: Run,
  action: () => Promise<void>,
  name: string,
): Promise<string | undefined> {
  for (let n = 1; ; n++) {
    try {
      await action();
      return undefined;
    } catch (reason) {
      const failure = DrError.from(reason);
      if (n >= ATTEMPTS || failure.retry === 'never') return `${name}: ${failure.message}`;
      await run.tools.sleep(PAUSE_MS);
    }
  }
}

const nameOf = (target: object): string =>
  'address' in target
    ? String(target.address)
    : 'brokerName' in target
      ? String(target.brokerName)
      : '';
