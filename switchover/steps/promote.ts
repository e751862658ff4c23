// Halting the link, and the promotion: the point of no return. The decider (first broker by name) is
// promoted alone and first; its `drEpoch` decides for the region. A promotion without an answer is
// never assumed in either direction: the broker is asked, and the same request is sent again, which
// is safe because brokers know the operation id.
import { DrError } from '../../core-broker/base/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type PromoteResult,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { isHaltedBy, type PairView, targetState } from '../phase.ts';
import { done, type Run, type StepOutcome } from './run.ts';

const ASK_AGAIN_MS = 100;

/** Stops the links durably. A failover takes over the halt of an operation it supersedes. */
export async function halt(run: Run): Promise<StepOutcome> {
  await run.everyPair(async ({ brokerName, target }) => {
    const address = run.targetAddress(brokerName);
    const other = target?.link?.haltedBy;
    if (run.operation.kind === 'failover' && other && other !== run.opId) {
      await run.control(address, DR_CODE.LINK_RESUME, { opId: other });
    }
    const status = await run.control<DrStatus>(address, DR_CODE.LINK_HALT);
    run.patchTarget(brokerName, status);
    if (!isHaltedBy(status, run.opId)) {
      throw new DrError(
        'REFUSED',
        `the link of ${brokerName} is ${status.link?.state ?? 'absent'}`,
      );
    }
  });
  return done();
}

/** @throws DrError VERIFY_FAILED, REFUSED (undo is safe), TIMEOUT (ask), IN_DOUBT (only forward) */
export async function promote(run: Run): Promise<StepOutcome> {
  const [decider, ...followers] = run.pairs;
  if (!decider) throw new Error('a switch without brokers');
  run.deadlineMs = run.tools.nowMs() + run.tools.options.settings.promoteTimeoutMs;
  const results: Record<string, PromoteResult> = {};
  results[decider.brokerName] = await promoteOne(run, decider);
  // Point of no return: from here on every failure is one to go forward from.
  try {
    for (const pair of followers) results[pair.brokerName] = await promoteOne(run, pair);
  } catch (reason) {
    throw new DrError(
      'IN_DOUBT',
      `part of ${run.to} is promoted: ${DrError.from(reason).message}`,
      {
        hint: 'run `dr switchover resume` when the named broker answers',
        cause: reason,
      },
    );
  }
  run.promotedAtMs = run.tools.nowMs();
  run.deadlineMs = undefined;
  return done({ promoted: results });
}

async function promoteOne(run: Run, pair: PairView): Promise<PromoteResult> {
  const { brokerName } = pair;
  const address = run.targetAddress(brokerName);
  const isForced = run.operation.kind === 'failover';
  const body = {
    fromEpoch: run.operation.fromEpoch,
    token: isForced ? null : await proofOf(run, pair),
    forced: isForced,
  };
  for (;;) {
    try {
      const timeoutMs = Math.max(run.tools.options.settings.callTimeoutMs, remainingMs(run));
      const result = await run.control<PromoteResult>(address, DR_CODE.PROMOTE, body, timeoutMs);
      notePromoted(run, brokerName, result);
      return result;
    } catch (reason) {
      await explainSilence(run, brokerName, reason);
    }
  }
}

/** Returns when the promotion should be sent again; throws what it means otherwise. */
async function explainSilence(run: Run, brokerName: string, reason: unknown): Promise<void> {
  const failure = DrError.from(reason);
  if (failure.retry === 'never') throw failure;
  for (;;) {
    if (remainingMs(run) === 0) throw failure;
    await run.tools.sleep(ASK_AGAIN_MS);
    await run.observeTargets();
    const pair = run.pairs.find((each) => each.brokerName === brokerName);
    const state = targetState(pair?.target, run.operation);
    // Promoted: the repeated request only fetches the answer that was lost.
    if (state === 'standby' || state === 'promoted') return;
    if (state === 'moved') throw new DrError('FENCED', `${brokerName} obeys another operation`);
  }
}

function notePromoted(run: Run, brokerName: string, result: PromoteResult): void {
  const expected = run.operation.fromEpoch + 1;
  if (result.epoch !== expected) {
    throw new DrError('IN_DOUBT', `${brokerName} answered epoch ${result.epoch}, not ${expected}`);
  }
  run.patchTarget(brokerName, {
    role: 'active',
    writeState: 'open',
    epoch: result.epoch,
    opId: run.opId,
    activeEpoch: result.epoch,
    activeRegion: run.to,
  });
}

/** The journaled proof; a lost journal is no loss, because the sealed side answers the same again. */
async function proofOf(
  run: Run,
  { brokerName, target }: PairView,
): Promise<SealedTailToken | null> {
  const token = run.tools.journal.progress().tokens[brokerName];
  if (token) return token;
  // Promoted already: the broker only repeats its answer and looks at no proof.
  if (targetState(target, run.operation) === 'promoted') return null;
  return run.control<SealedTailToken>(run.sourceAddress(brokerName), DR_CODE.SEAL);
}

const remainingMs = (run: Run): number => Math.max(0, (run.deadlineMs ?? 0) - run.tools.nowMs());
