// The steps only a forced switch has: cut the old side off if it still answers, and the statement.
// Both work with the old region black-holed: silence there costs at most `failoverFenceMs`.
import { DrError, LIMITS } from '../../core-broker/base/index.ts';
import {
  DR_CODE,
  type LinkStatusResult,
  type SealedTailToken,
  type TailReport,
} from '../../core-broker/protocol/index.ts';
import { type LossStatement, makeStatement, type TailEvidence } from '../statement.ts';
import { fenceOne } from './planned.ts';
import { done, type Run, type StepOutcome } from './run.ts';

const DRAIN_POLL_MS = 20;

/** Seals what answers of the old side, and lets the link fetch what it still can. */
export async function cutOff(run: Run): Promise<StepOutcome> {
  const { failoverFenceMs } = run.tools.options.settings;
  const endMs = run.tools.nowMs() + failoverFenceMs;
  const tokens: Record<string, SealedTailToken> = {};
  const silent: Record<string, string> = {};
  await Promise.all(
    run.pairs.map(async ({ brokerName, source }) => {
      try {
        if (!source) throw new DrError('UNREACHABLE', 'no answer to a status call');
        tokens[brokerName] = await sealOld(run, brokerName, endMs);
      } catch (reason) {
        silent[brokerName] = DrError.from(reason).message;
      }
    }),
  );
  await drainWhilePossible(run, tokens, endMs);
  return done({ tokens, silent });
}

/** A side that another operation sealed stays sealed: that operation's id fetches its proof. */
async function sealOld(run: Run, brokerName: string, endMs: number): Promise<SealedTailToken> {
  const address = run.sourceAddress(brokerName);
  const source = run.pairs.find((pair) => pair.brokerName === brokerName)?.source;
  const sealedBy = source?.writeState === 'sealed' ? source.opId : undefined;
  const opId = sealedBy ?? run.opId;
  // Both calls share the time: a side that stops answering between them costs no more than one.
  const leftMs = () => Math.max(1, endMs - run.tools.nowMs());
  if (source?.writeState === 'fenced' && source.opId && source.opId !== run.opId) {
    // The fence of a switch this failover supersedes: it would open again by itself, unsealed.
    await run.control(address, DR_CODE.UNFENCE, { opId: source.opId }, leftMs());
  }
  if (!sealedBy) await fenceOne(run, brokerName, LIMITS.parkedMs, leftMs());
  const token = await run.control<SealedTailToken>(address, DR_CODE.SEAL, { opId }, leftMs());
  run.patchSource(brokerName, { writeState: 'sealed', opId });
  return token;
}

async function drainWhilePossible(
  run: Run,
  tokens: Record<string, SealedTailToken>,
  endMs: number,
): Promise<void> {
  const isBehind = () =>
    run.pairs.some(({ brokerName, target }) => {
      const token = tokens[brokerName];
      const isMoving = target?.link?.state === 'following' || target?.link?.state === 'catching-up';
      return token !== undefined && isMoving && target.maxOffset < token.logEnd;
    });
  while (isBehind() && run.tools.nowMs() < endMs) {
    await run.tools.sleep(DRAIN_POLL_MS);
    await run.observeTargets();
  }
}

/** The final statement; it is in the journal before the promotion is sent. */
export async function assess(run: Run): Promise<StepOutcome> {
  const { tokens } = run.tools.journal.progress();
  const statement = await gatherStatement(run, tokens);
  run.tools.report({ type: 'statement', statement });
  return done({ statement });
}

/** Asks the standby what it has and, where it answers, the old side what it wrote. Changes nothing. */
export async function gatherStatement(
  run: Run,
  tokens: Readonly<Record<string, SealedTailToken>> = {},
): Promise<LossStatement> {
  const brokers = await Promise.all(
    run.pairs.map(async ({ brokerName, source }): Promise<TailEvidence> => {
      const { drClient, settings } = run.tools.options;
      const tail = await drClient.control<TailReport>(
        run.targetAddress(brokerName),
        { code: DR_CODE.TAIL_REPORT, body: {} },
        settings.callTimeoutMs,
      );
      const live = source && (await askOldSide(run, brokerName, tail.validatedEnd));
      return { brokerName, tail, old: source, live, token: tokens[brokerName] };
    }),
  );
  return makeStatement({ from: run.from, to: run.to, nowMs: run.tools.nowMs(), brokers });
}

async function askOldSide(
  run: Run,
  brokerName: string,
  validatedEnd: number,
): Promise<LinkStatusResult | undefined> {
  const { drClient, settings } = run.tools.options;
  const body = { linkId: 'statement', position: validatedEnd, queuesSince: validatedEnd };
  const request = { code: DR_CODE.LINK_STATUS, body };
  try {
    const address = run.sourceAddress(brokerName);
    return await drClient.control<LinkStatusResult>(address, request, settings.callTimeoutMs);
  } catch (reason) {
    if (!(reason instanceof DrError)) throw reason;
    // Expected: the old side is dead or cut off; the standby's last sample is the evidence then.
    return undefined;
  }
}
