// Undoing before the point of no return. Order: the decider gives the operation id up first
// (LINK_RESUME; from then on its broker refuses a promotion under this id, also one still on its way),
// the other links follow, and only then the old side opens. If the decider turns out promoted, nothing
// was opened and the switch can only go forward.
import { DrError } from '../../core-broker/base/index.ts';
import { DR_CODE, type DrStatus } from '../../core-broker/protocol/index.ts';
import { isClosedBy, isSealedBy, type PairView } from '../phase.ts';
import { done, type Run, type StepOutcome } from './run.ts';

/** @throws DrError REFUSED when the decider is promoted, NETWORK or TIMEOUT when a side is silent */
export async function rollBack(run: Run): Promise<StepOutcome> {
  const { begun } = run.tools.journal.progress();
  const mayBePromoted = begun.has('promote') || run.operation.isRebuilt;
  const [decider] = run.pairs;
  if (mayBePromoted && decider) await giveUp(run, decider);
  const wasHalted = mayBePromoted || begun.has('halt');
  const problems = wasHalted ? await resumeLinks(run) : [];
  problems.push(...(await openSources(run)));
  return { ...done({ problems }), problems };
}

/** After a promotion may have been sent only the broker's own word opens the way back. */
async function giveUp(run: Run, { brokerName }: PairView): Promise<void> {
  const address = run.targetAddress(brokerName);
  const status = await run.control<DrStatus>(address, DR_CODE.LINK_RESUME);
  run.patchTarget(brokerName, status);
  if (status.role !== 'standby' || status.epoch > run.operation.fromEpoch) {
    throw new DrError('REFUSED', `${brokerName} is promoted at epoch ${status.epoch}`);
  }
}

/** A link that cannot be told now is a problem to report, no reason to keep writes stopped. */
async function resumeLinks(run: Run): Promise<string[]> {
  return collectProblems(run, async ({ brokerName }) => {
    const address = run.targetAddress(brokerName);
    run.patchTarget(brokerName, await run.control<DrStatus>(address, DR_CODE.LINK_RESUME));
  });
}

async function openSources(run: Run): Promise<string[]> {
  const { begun } = run.tools.journal.progress();
  const wasTouched = begun.has('fence') || begun.has('cut-off') || run.operation.isRebuilt;
  if (!wasTouched) return [];
  const open = ({ brokerName }: PairView) => openOne(run, brokerName);
  // A fence lifts by itself, and the old side of a failover is usually dead: `abort` opens it when it
  // is found sealed later. Only a seal of a planned switch must be seen lifted.
  const mustOpen =
    run.operation.kind === 'planned' && (begun.has('seal') || run.operation.isRebuilt);
  if (!mustOpen) return collectProblems(run, open);
  await run.everyPair(open);
  return [];
}

/**
 * Lifts what this operation set, by what the broker says it is. A seal that lands between the question
 * and the request makes the request refused: then it is asked once more.
 */
async function openOne(run: Run, brokerName: string): Promise<void> {
  const address = run.sourceAddress(brokerName);
  for (let isLast = false; ; isLast = true) {
    const found = await run.control<DrStatus>(address, DR_CODE.STATUS);
    const code = isSealedBy(found, run.opId) ? DR_CODE.UNSEAL : DR_CODE.UNFENCE;
    try {
      const status = await run.control<DrStatus>(address, code);
      run.patchSource(brokerName, status);
      if (!isClosedBy(status, run.opId)) return;
    } catch (reason) {
      if (isLast || !DrError.is(reason, 'REFUSED')) throw reason;
    }
    if (isLast) throw new DrError('REFUSED', `${brokerName} stays closed`);
  }
}

/** @returns one sentence per pair whose action failed */
async function collectProblems(
  run: Run,
  action: (pair: PairView) => Promise<void>,
): Promise<string[]> {
  const problems: string[] = [];
  const ended = await Promise.allSettled(run.pairs.map(action));
  for (const [index, result] of ended.entries()) {
    if (result.status === 'fulfilled') continue;
    const name = run.pairs[index]?.brokerName;
    problems.push(`${name}: not undone there: ${DrError.from(result.reason).message}`);
  }
  return problems;
}
