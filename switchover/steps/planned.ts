// The steps of a planned switch before the point of no return: catch up, fence, seal, drain, final sync.
// Each may run again after a crash: brokers know the operation id, and what they hold is asked first.
import { DrError } from '../../core-broker/base/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type FinalSyncResult,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';
import { isClosedBy, isNearlyLevel } from '../phase.ts';
import { done, type Run, type StepOutcome } from './run.ts';

const CATCH_UP_POLL_MS = 100;
/** Every poll is part of the write pause. */
const DRAIN_POLL_MS = 10;

/** Waits, writes flowing, until every standby is nearly level. @throws TIMEOUT at the deadline */
export async function catchUp(run: Run): Promise<StepOutcome> {
  while (!isNearlyLevel(run.view())) {
    if (isPast(run, run.deadlineMs)) {
      throw new DrError('TIMEOUT', 'the standby did not come level while writes flow');
    }
    await run.tools.sleep(CATCH_UP_POLL_MS);
    await run.observe();
    reportLag(run);
  }
  return done();
}

/** Parks the sends of the old side; starts the write pause. */
export async function fence(run: Run): Promise<StepOutcome> {
  const { maxWritePauseMs } = run.operation;
  run.fencedAtMs = run.tools.nowMs();
  run.deadlineMs = run.fencedAtMs + maxWritePauseMs;
  await run.everyPair(({ brokerName }) => fenceOne(run, brokerName, maxWritePauseMs));
  return done({ maxWritePauseMs });
}

/** A seal needs a fence of the same operation that still stands. */
export async function fenceOne(
  run: Run,
  brokerName: string,
  deadlineMs: number,
  timeoutMs?: number,
): Promise<void> {
  const address = run.sourceAddress(brokerName);
  const body = { deadlineMs };
  const status = await run.control<DrStatus>(address, DR_CODE.FENCE, body, timeoutMs);
  run.patchSource(brokerName, status);
  if (isClosedBy(status, run.opId)) return;
  throw new DrError('REFUSED', `${brokerName} did not fence: it is ${status.writeState}`);
}

/** Makes the fence durable and fetches the proof of each broker's end. */
export async function seal(run: Run): Promise<StepOutcome> {
  const tokens: Record<string, SealedTailToken> = {};
  await run.everyPair(async ({ brokerName, source }) => {
    // After a crash one broker may be sealed and the fence of another one have lapsed.
    const isClosed = source && isClosedBy(source, run.opId);
    if (!isClosed) await fenceOne(run, brokerName, run.operation.maxWritePauseMs);
    const timeoutMs = Math.max(run.tools.options.settings.callTimeoutMs, remainingMs(run));
    const address = run.sourceAddress(brokerName);
    tokens[brokerName] = await run.control<SealedTailToken>(address, DR_CODE.SEAL, {}, timeoutMs);
    run.patchSource(brokerName, { writeState: 'sealed', opId: run.opId });
  });
  return done({ tokens });
}

/**
 * Waits until every standby holds exactly the bytes below the sealed end.
 * @throws DrError TIMEOUT at the drain deadline, VERIFY_FAILED when a standby holds more
 */
export async function drain(run: Run): Promise<StepOutcome> {
  const { settings } = run.tools.options;
  const startMs = run.fencedAtMs ?? run.tools.nowMs();
  const drainDeadlineMs = Math.min(
    startMs + settings.drainTimeoutMs,
    run.deadlineMs ?? Number.POSITIVE_INFINITY,
  );
  const { tokens } = run.tools.journal.progress();
  for (;;) {
    const left = run.pairs.filter(({ brokerName, target }) => {
      const end = tokens[brokerName]?.logEnd ?? Number.NaN;
      if (target && target.maxOffset > end) throw holdsMore(brokerName, target.maxOffset, end);
      return target?.maxOffset !== end;
    });
    if (left.length === 0) return done();
    if (isPast(run, drainDeadlineMs)) {
      // The rest of the pause is for the steps after the drain: it is not waited for.
      run.deadlineMs = Math.min(run.deadlineMs ?? drainDeadlineMs, drainDeadlineMs);
      const names = left.map(({ brokerName }) => brokerName).join(', ');
      throw new DrError('TIMEOUT', `not drained in time: ${names}`);
    }
    await run.tools.sleep(DRAIN_POLL_MS);
    await run.observeTargets();
    reportLag(run);
  }
}

/** Topics, groups, offsets and delay offsets of the sealed side are copied one last time. */
export async function finalSync(run: Run): Promise<StepOutcome> {
  const synced: Record<string, FinalSyncResult> = {};
  await run.everyPair(async ({ brokerName }) => {
    const timeoutMs = Math.max(run.tools.options.settings.callTimeoutMs, remainingMs(run));
    const address = run.targetAddress(brokerName);
    synced[brokerName] = await run.control(address, DR_CODE.FINAL_SYNC, {}, timeoutMs);
  });
  return done({ synced });
}

const isPast = (run: Run, deadlineMs: number | undefined): boolean =>
  deadlineMs !== undefined && run.tools.nowMs() > deadlineMs;

const remainingMs = (run: Run): number =>
  run.deadlineMs === undefined ? 0 : Math.max(0, run.deadlineMs - run.tools.nowMs());

function holdsMore(brokerName: string, maxOffset: number, end: number): DrError {
  return new DrError(
    'VERIFY_FAILED',
    `${brokerName}: the standby ends at ${maxOffset}, beyond the sealed end ${end}`,
  );
}

function reportLag(run: Run): void {
  const links = run.pairs.flatMap(({ target }) => (target?.link ? [target.link] : []));
  const sum = (pick: (link: (typeof links)[number]) => number) =>
    links.reduce((total, link) => total + pick(link), 0);
  run.tools.report({
    type: 'progress',
    opId: run.opId,
    lagMessages: sum((link) => link.lagMessages),
    lagBytes: sum((link) => link.lagBytes),
    lagMs: Math.max(0, ...links.map((link) => link.lagMs)),
  });
}
