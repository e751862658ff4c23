// The job queue in Redis through BullMQ, for several daemons. Jobs are claimed by hand (getNextJob), so
// that both adapters have one shape; BullMQ's locks are the leases, its stalled check frees lost ones.
// Traps: no `repeat` API and no cron here (its parser reads day fields the other way round); finished
// jobs are kept, because they are what makes an id unique; a job that stalls counts as a try here.
import { randomBytes } from 'node:crypto';
import type { Job as BullJob, Queue, Worker } from 'bullmq';
import { createLog, DrError } from '../../core-broker/base/index.ts';
import {
  checkJob,
  JOB_LEASE_MS,
  type Job,
  type JobClaim,
  type JobQueue,
  type JobState,
  lostClaim,
  type NewJob,
} from './port.ts';

export interface BullmqJobsOptions {
  host: string;
  port: number;
  prefix: string;
  password?: string;
  tls?: boolean;
  leaseMs?: number;
}

const QUEUE = 'jobs';
const KEEP_FINISHED = 10_000;
/** Two checks free the job of a dead worker; the workers of a queue share one timer in Redis. */
const STALLED_CHECK_MS = 5_000;

/** Connects on first use. @throws DrError NETWORK from the operations while Redis is away */
export async function openBullmqJobs(options: BullmqJobsOptions): Promise<JobQueue> {
  const { Queue, Worker } = await import('bullmq');
  const leaseMs = options.leaseMs ?? JOB_LEASE_MS;
  const connection = {
    host: options.host,
    port: options.port,
    maxRetriesPerRequest: null,
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.tls ? { tls: {} } : {}),
  };
  const common = { connection, prefix: options.prefix };
  const queue = new Queue(QUEUE, common);
  const worker = new Worker(QUEUE, null, {
    ...common,
    autorun: false,
    lockDuration: leaseMs,
    stalledInterval: Math.min(STALLED_CHECK_MS, Math.floor(leaseMs / 2)),
    maxStalledCount: 1_000,
  });
  const log = createLog('backup');
  const onError = (reason: Error) => log.warn('jobs.connection', reason.message);
  queue.on('error', onError);
  worker.on('error', onError);
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  await worker.startStalledCheckTimer();
  return new BullmqJobs(queue, worker, leaseMs);
}

type Data = Omit<NewJob, 'id'> & { released?: number };

const triesOf = (job: BullJob): number => job.attemptsStarted - ((job.data as Data).released ?? 0);

class BullmqJobs implements JobQueue {
  readonly #queue: Queue;
  readonly #worker: Worker;
  readonly #leaseMs: number;
  readonly #claimed = new Map<string, BullJob>();

  constructor(queue: Queue, worker: Worker, leaseMs: number) {
    this.#queue = queue;
    this.#worker = worker;
    this.#leaseMs = leaseMs;
  }

  async enqueue(job: NewJob): Promise<'added' | 'exists'> {
    const { id, ...data } = checkJob(job);
    // BullMQ answers alike for a new and a known id; the nonce tells whose data was stored.
    const nonce = randomBytes(8).toString('hex');
    await this.#queue.add(
      job.plan,
      { ...data, nonce },
      {
        jobId: id,
        attempts: job.attemptsMax,
        backoff: { type: 'fixed', delay: job.retryDelayMs },
        removeOnComplete: { count: KEEP_FINISHED },
        removeOnFail: { count: KEEP_FINISHED },
      },
    );
    const stored = (await this.#queue.getJob(id)) as BullJob | undefined;
    return stored?.data.nonce === nonce ? 'added' : 'exists';
  }

  async claim(worker: string): Promise<JobClaim | undefined> {
    for (;;) {
      const token = `${worker}-${randomBytes(6).toString('hex')}`;
      const job = (await this.#worker.getNextJob(token, { block: false })) as BullJob | undefined;
      if (!job) return undefined;
      const tries = triesOf(job);
      const claim = { job: { ...toJob(job, 'active'), attempts: tries }, token };
      if (tries <= claim.job.attemptsMax) {
        this.#claimed.set(token, job);
        return claim;
      }
      // Every try ended with a dead worker: it fails instead of killing workers for ever.
      await job.moveToFailed(lastError('the worker died'), token, false);
    }
  }

  async heartbeat(claim: JobClaim): Promise<void> {
    await this.#held(claim, (job) => job.extendLock(claim.token, this.#leaseMs));
  }

  async complete(claim: JobClaim, result: unknown): Promise<void> {
    await this.#held(claim, (job) => job.moveToCompleted(result ?? null, claim.token, false));
    this.#claimed.delete(claim.token);
  }

  async release(claim: JobClaim): Promise<void> {
    await this.#held(claim, async (job) => {
      // BullMQ counts every start; what was given back is taken off again (triesOf).
      const data = job.data as Data;
      await job.extendLock(claim.token, this.#leaseMs);
      await job.updateData({ ...data, released: (data.released ?? 0) + 1 });
      await job.moveToWait(claim.token);
    });
    this.#claimed.delete(claim.token);
  }

  async fail(claim: JobClaim, error: string): Promise<JobState> {
    const isLast = claim.job.attempts >= claim.job.attemptsMax;
    const reason = isLast ? lastError(error) : new Error(error);
    await this.#held(claim, (job) => job.moveToFailed(reason, claim.token, false));
    this.#claimed.delete(claim.token);
    return isLast ? 'failed' : 'waiting';
  }

  async list(filter: { plan?: string; limit?: number } = {}): Promise<Job[]> {
    const groups = await Promise.all(
      (['waiting', 'delayed', 'active', 'completed', 'failed'] as const).map(async (type) => {
        const jobs = (await this.#queue.getJobs([type])) as BullJob[];
        return jobs.map((job) => toJob(job, STATES[type]));
      }),
    );
    return groups
      .flat()
      .filter((job) => filter.plan === undefined || job.plan === filter.plan)
      .sort((a, b) => b.scheduledAtMs - a.scheduledAtMs || (a.id < b.id ? 1 : -1))
      .slice(0, filter.limit ?? 1000);
  }

  async close(): Promise<void> {
    await this.#worker.close(true);
    await this.#queue.close();
  }

  /** Every refusal of a move by token means that the lock is another's, or nobody's, by now. */
  async #held(claim: JobClaim, action: (job: BullJob) => Promise<unknown>): Promise<void> {
    const job = this.#claimed.get(claim.token);
    if (!job) throw lostClaim(claim.job.id);
    try {
      if ((await action(job)) === 0) throw lostClaim(claim.job.id);
    } catch (reason) {
      if (DrError.is(reason, 'LOCKED')) throw reason;
      const failure = DrError.from(reason);
      if (failure.code === 'NETWORK' || failure.code === 'TIMEOUT') throw failure;
      throw lostClaim(claim.job.id, reason);
    }
  }
}

/** An error of this name is not tried again: BullMQ itself does not count tries that stalled. */
const lastError = (text: string): Error =>
  Object.assign(new Error(text), { name: 'UnrecoverableError' });

const STATES = {
  waiting: 'waiting',
  delayed: 'waiting',
  active: 'active',
  completed: 'done',
  failed: 'failed',
} as const;

function toJob(job: BullJob, state: JobState): Job {
  const data = job.data as Data;
  return {
    id: job.id ?? '',
    plan: data.plan,
    scheduledAtMs: data.scheduledAtMs,
    payload: data.payload,
    attemptsMax: data.attemptsMax,
    retryDelayMs: data.retryDelayMs,
    state,
    attempts: triesOf(job),
    error: state === 'done' ? undefined : job.failedReason || undefined,
    result: state === 'done' ? job.returnvalue : undefined,
    finishedAtMs: job.finishedOn,
  };
}
