// Turns plans into jobs and works them off. node-cron is the only clock; a tick only enqueues, under an
// id made of plan and scheduled minute, so that several daemons make one run of it.
// At boot the last run that should have been is looked up: a missed one is enqueued once, not one per
// missed day. Pattern rule: day of month and day of week are not both restricted, because cron
// implementations read that as AND or as OR.
import * as os from 'node:os';
import { createTask, type ScheduledTask, validateDetailed } from 'node-cron';
import {
  type Clock,
  createLog,
  DrError,
  LoopSet,
  type Service,
  sleep,
  systemClock,
} from '../core-broker/base/index.ts';
import { JOB_LEASE_MS, type JobClaim, type JobQueue, jobId } from './jobs/index.ts';

export interface Plan {
  name: string;
  cron: string;
  timezone: string;
  attemptsMax: number;
  retryDelayMs: number;
  payload: Record<string, unknown>;
}

export interface SchedulerOptions {
  plans: Plan[];
  queue: JobQueue;
  /** Does the job; its answer is kept as the job's result. */
  run: (claim: JobClaim, signal: AbortSignal) => Promise<unknown>;
  /** Told when the worker loop dies (the queue is gone for good). */
  onDeath: (reason: DrError) => void;
  clock?: Clock;
  pollMs?: number;
  leaseMs?: number;
}

export interface Scheduler extends Service {
  /** Next run of each plan. */
  nextRuns(): { plan: string; nextRunMs: number | undefined }[];
}

const MINUTE_MS = 60_000;
const LOOK_BACK_MS = 32 * 24 * 60 * MINUTE_MS;
const POLL_MS = 1_000;

/** @throws DrError CONFIG naming the field */
export function checkPattern(cron: string): string {
  const checked = validateDetailed(cron);
  if (!checked.valid) {
    const text = checked.errors.map((error) => `${error.field}: ${error.message}`).join('; ');
    throw new DrError('CONFIG', `schedule "${cron}": ${text}`);
  }
  const fields = cron.trim().split(/\s+/);
  const [dayOfMonth, , dayOfWeek] = fields.slice(-3);
  if (dayOfMonth !== '*' && dayOfWeek !== '*') {
    throw new DrError('CONFIG', `schedule "${cron}": day of month and day of week are both set`, {
      hint: 'use * for one of them, or two plans',
    });
  }
  return cron;
}

/**
 * The latest moment in (afterMs, nowMs] that the pattern names, or undefined. Looks back 32 days at most.
 */
export function lastDue(
  plan: Pick<Plan, 'cron' | 'timezone'>,
  bounds: { afterMs: number; nowMs: number },
): number | undefined {
  const task = createTask(plan.cron, () => undefined, { timezone: plan.timezone });
  const hasSeconds = plan.cron.trim().split(/\s+/).length === 6;
  const step = hasSeconds ? 1000 : MINUTE_MS;
  const from = Math.max(bounds.afterMs, bounds.nowMs - LOOK_BACK_MS);
  try {
    for (let at = Math.floor(bounds.nowMs / step) * step; at > from; at -= step) {
      if (task.match(new Date(at))) return at;
    }
    return undefined;
  } finally {
    void task.destroy();
  }
}

/** Starts clocks and one worker. @throws DrError CONFIG for a pattern that is refused */
export function createScheduler(options: SchedulerOptions): Scheduler {
  for (const plan of options.plans) checkPattern(plan.cron);
  return new CronScheduler(options);
}

class CronScheduler implements Scheduler {
  readonly #options: SchedulerOptions;
  readonly #clock: Clock;
  readonly #log = createLog('backup');
  readonly #tasks = new Map<string, ScheduledTask>();
  readonly #loops: LoopSet;
  readonly #worker = `${os.hostname()}-${process.pid}`;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#loops = new LoopSet((reason) => options.onDeath(reason));
  }

  async start(): Promise<void> {
    for (const plan of this.#options.plans) {
      await this.#enqueueMissed(plan);
      const task = createTask(plan.cron, (context) => this.#onTick(plan, context.date), {
        timezone: plan.timezone,
        name: plan.name,
        suppressMissedWarning: true,
      });
      // The process was suspended or busy over a tick: the run is late, not lost.
      task.on('execution:missed', (context) => this.#onTick(plan, context.date));
      this.#tasks.set(plan.name, task);
      await task.start();
    }
    this.#loops.run('jobs', (signal) => this.#work(signal));
  }

  async stop(): Promise<void> {
    for (const task of this.#tasks.values()) await task.destroy();
    this.#tasks.clear();
    await this.#loops.stop();
  }

  nextRuns() {
    return [...this.#tasks].map(([plan, task]) => ({
      plan,
      nextRunMs: task.getNextRun()?.getTime(),
    }));
  }

  async #enqueueMissed(plan: Plan): Promise<void> {
    const [last] = await this.#options.queue.list({ plan: plan.name, limit: 1 });
    if (!last) return;
    const nowMs = this.#clock.nowMs();
    const missed = lastDue(plan, { afterMs: last.scheduledAtMs, nowMs });
    if (missed === undefined) return;
    await this.#enqueue(plan, missed);
    const at = new Date(missed).toISOString();
    this.#log.warn('schedule.missed', `the run of ${at} was missed; it runs now`, {
      plan: plan.name,
    });
  }

  async #onTick(plan: Plan, date: Date): Promise<void> {
    try {
      await this.#enqueue(plan, Math.floor(date.getTime() / 1000) * 1000);
    } catch (reason) {
      // The clock goes on; the run shows up as missed at the next boot, and its error is here.
      this.#log.error('schedule.enqueue', DrError.from(reason).message, { plan: plan.name });
    }
  }

  async #enqueue(plan: Plan, scheduledAtMs: number): Promise<void> {
    await this.#options.queue.enqueue({
      id: jobId(plan.name, scheduledAtMs),
      plan: plan.name,
      scheduledAtMs,
      payload: plan.payload,
      attemptsMax: plan.attemptsMax,
      retryDelayMs: plan.retryDelayMs,
    });
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const claim = await this.#tryClaim();
      if (claim) await this.#runOne(claim, signal);
      else await sleep(this.#options.pollMs ?? POLL_MS, signal);
    }
  }

  async #tryClaim(): Promise<JobClaim | undefined> {
    try {
      return await this.#options.queue.claim(this.#worker);
    } catch (reason) {
      const failure = DrError.from(reason);
      if (failure.retry !== 'back-off') throw failure;
      this.#log.warn('jobs.claim', failure.message);
      return undefined;
    }
  }

  async #runOne(claim: JobClaim, signal: AbortSignal): Promise<void> {
    const { queue, run } = this.#options;
    const lost = new AbortController();
    const beat = setInterval(
      () => {
        // Who lost the lease stops: another worker does the run.
        queue.heartbeat(claim).catch((reason: unknown) => lost.abort(DrError.from(reason)));
      },
      Math.floor((this.#options.leaseMs ?? JOB_LEASE_MS) / 4),
    );
    try {
      const result = await run(claim, AbortSignal.any([signal, lost.signal]));
      await queue.complete(claim, result);
    } catch (reason) {
      // A stop of the daemon says nothing about the run: it is taken again, with all its tries.
      if (signal.aborted) await this.#giveBack(claim);
      else await this.#onFailure(claim, DrError.from(reason));
    } finally {
      clearInterval(beat);
    }
  }

  async #giveBack(claim: JobClaim): Promise<void> {
    try {
      await this.#options.queue.release(claim);
    } catch (reason) {
      // The queue is away or the lease is lost: the job is taken again when its lease has ended.
      const fields = { plan: claim.job.plan, job: claim.job.id };
      this.#log.warn('job.lost', DrError.from(reason).message, fields);
    }
  }

  async #onFailure(claim: JobClaim, failure: DrError): Promise<void> {
    const fields = { plan: claim.job.plan, job: claim.job.id, code: failure.code };
    try {
      const state = await this.#options.queue.fail(claim, `${failure.code}: ${failure.message}`);
      const level = state === 'failed' ? 'error' : 'warn';
      this.#log[level]('job.failed', failure.message, { ...fields, state });
    } catch (reason) {
      // The claim is another's now, or the queue is away: the lease ends and the job is taken again.
      this.#log.warn('job.lost', DrError.from(reason).message, fields);
    }
  }
}
