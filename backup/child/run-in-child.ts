// Runs one scheduled backup in a process of its own, so that compressing and hashing take neither the
// broker's event loop nor its memory, and the system can prefer the broker.
// Invariant: the promise settles only after the process is gone: nothing of a run goes on behind it.
import { type ChildProcess, fork } from 'node:child_process';
import * as path from 'node:path';
import { DrError, type ErrorCode, type RetryClass } from '../../core-broker/base/index.ts';
import { type PutLatencyProbe, watchPutBudget } from './put-budget.ts';
import type { PauseMessage, ScheduledRun, ScheduledRunResult } from './scheduled-run.ts';

/** Source tree: .ts, run by type stripping. Published build: .js. */
const ENTRY = path.join(import.meta.dirname, `child${path.extname(import.meta.filename)}`);
/** How long a run that was told to stop may clean up, ms. */
const GRACE_MS = 10_000;

interface Reply {
  ok: boolean;
  answer?: ScheduledRunResult;
  code?: ErrorCode;
  message?: string;
  hint?: string;
  context?: Record<string, unknown>;
  retry?: RetryClass;
}

export interface ChildRequest extends ScheduledRun {
  /** Told the id of the process once it runs. */
  onStart?: (pid: number) => void;
  /** How the broker's sends fare; none: there is no broker to yield to. */
  putLatency?: PutLatencyProbe;
}

/** @throws DrError of the run; CANCELLED when the signal fired; UNEXPECTED when the process was killed */
export async function runInChild(
  { onStart, putLatency, ...request }: ChildRequest,
  signal: AbortSignal,
): Promise<ScheduledRunResult> {
  signal.throwIfAborted();
  const child = fork(ENTRY, [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const stop = () => endSoon(child);
  signal.addEventListener('abort', stop, { once: true });
  const unwatch = putLatency ? watchFor(child, request, putLatency) : undefined;
  try {
    const reply = await exchange(child, request, onStart);
    if (signal.aborted) throw new DrError('CANCELLED', 'the backup was stopped with its daemon');
    if (reply.ok && reply.answer) return reply.answer;
    throw toError(reply);
  } finally {
    unwatch?.();
    signal.removeEventListener('abort', stop);
  }
}

function watchFor(child: ChildProcess, request: ScheduledRun, probe: PutLatencyProbe): () => void {
  return watchPutBudget({
    probe,
    budgetMs: request.config.putLatencyMsMax,
    pause: (pauseMs) => {
      const message: PauseMessage = { pauseMs };
      // A child that is gone shows in its exit.
      if (child.connected) child.send(message, () => undefined);
    },
  });
}

function exchange(
  child: ChildProcess,
  request: ScheduledRun,
  onStart: ((pid: number) => void) | undefined,
): Promise<Reply> {
  return new Promise((resolve) => {
    let reply: Reply | undefined;
    child.once('spawn', () => {
      onStart?.(child.pid ?? -1);
      // A child that is gone already shows in its exit.
      child.send(request, () => undefined);
    });
    child.once('message', (message) => {
      reply = message as Reply;
    });
    child.once('error', (reason) => resolve({ ok: false, message: reason.message }));
    child.once('exit', (code, signal) => {
      const message = `the backup process ended with ${signal ?? code}`;
      resolve(reply ?? { ok: false, message });
    });
  });
}

function toError(reply: Reply): DrError {
  const { code = 'UNEXPECTED', message = '', hint, context = {}, retry } = reply;
  return new DrError(code, message, {
    context,
    ...(hint === undefined ? {} : { hint }),
    ...(retry === undefined ? {} : { retry }),
  });
}

function endSoon(child: ChildProcess): void {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  child.once('exit', () => clearTimeout(timer));
}
