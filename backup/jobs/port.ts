// The port of the job queue: one row per run of a plan, found again after a crash.
// Invariant: an id is enqueued once, whatever its state is now: `backup@2026-11-20T0300Z` is one run,
// however many clocks tick. Invariant: a claim is a lease; who lost it cannot complete or fail the job.
// Job ids hold no colon (a limit of one adapter, kept by both). Adapters: sqlite-jobs.ts, bullmq-jobs.ts.
import { DrError } from '../../core-broker/base/index.ts';

export interface NewJob {
  /** plan@YYYY-MM-DDTHHMMZ: see jobId. */
  id: string;
  plan: string;
  scheduledAtMs: number;
  /** Plain JSON. */
  payload: Record<string, unknown>;
  attemptsMax: number;
  retryDelayMs: number;
}

export type JobState = 'waiting' | 'active' | 'done' | 'failed';

export interface Job extends NewJob {
  state: JobState;
  /** Tries begun so far. */
  attempts: number;
  error: string | undefined;
  result: unknown;
  finishedAtMs: number | undefined;
}

/** Proof of a claim; valid until the lease ends or another worker took the job over. */
export interface JobClaim {
  job: Job;
  token: string;
}

export interface JobQueue {
  enqueue(job: NewJob): Promise<'added' | 'exists'>;
  /** The oldest job that is due: waiting, or active with a lease that ran out. */
  claim(worker: string): Promise<JobClaim | undefined>;
  /** Renews the lease. @throws DrError LOCKED when it is lost */
  heartbeat(claim: JobClaim): Promise<void>;
  /** @throws DrError LOCKED when the claim is lost: the result is not recorded */
  complete(claim: JobClaim, result: unknown): Promise<void>;
  /** Gives the job back as if it had not been claimed: the try does not count. @throws DrError LOCKED */
  release(claim: JobClaim): Promise<void>;
  /** Waits for its next try, or fails for good after attemptsMax. @throws DrError LOCKED */
  fail(claim: JobClaim, error: string): Promise<JobState>;
  /** Newest schedule first. */
  list(filter?: { plan?: string; limit?: number }): Promise<Job[]>;
  close(): Promise<void>;
}

/** Lease of a claim; a worker renews it several times within. */
export const JOB_LEASE_MS = 60_000;

/** Id of the run of `plan` at a scheduled moment (UTC, to the minute; seconds only when not 0). */
export function jobId(plan: string, scheduledAtMs: number): string {
  const text = new Date(scheduledAtMs).toISOString();
  const seconds = text.slice(17, 19);
  return `${plan}@${text.slice(0, 13)}${text.slice(14, 16)}${seconds === '00' ? '' : seconds}Z`;
}

/** @throws DrError USAGE */
export function checkJob(job: NewJob): NewJob {
  if (!/^[A-Za-z0-9._-]{1,40}@[0-9TZ-]{1,24}$/.test(job.id) || job.attemptsMax < 1) {
    throw new DrError('USAGE', `not a job: ${JSON.stringify(job.id)}`);
  }
  return job;
}

export const lostClaim = (id: string, cause?: unknown): DrError =>
  new DrError('LOCKED', `job ${id}: the claim was lost to another worker`, {
    cause,
    retry: 'never',
  });
