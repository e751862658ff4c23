// The job queue as rows of one SQLite file: nothing to install, several processes may open it.
// Every change is one statement or one immediate transaction; durable on return (synchronous FULL).
import { randomBytes } from 'node:crypto';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { type Clock, systemClock } from '../../core-broker/base/index.ts';
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

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS dr_jobs (
    id TEXT PRIMARY KEY,
    plan TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL,
    payload TEXT NOT NULL,
    attempts_max INTEGER NOT NULL,
    retry_delay_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    token TEXT,
    error TEXT,
    result TEXT,
    finished_at INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS dr_jobs_due ON dr_jobs (state, scheduled_at);
`;

export interface SqliteJobsOptions {
  file: string;
  leaseMs?: number;
  clock?: Clock;
}

/** Opens the queue, creating file and table. @throws DrError UNEXPECTED when it is no database */
export function openSqliteJobs(options: SqliteJobsOptions): JobQueue {
  const database = new DatabaseSync(options.file, { timeout: 10_000 });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  database.exec(SCHEMA);
  return new SqliteJobs(database, options.leaseMs ?? JOB_LEASE_MS, options.clock ?? systemClock);
}

type Row = Record<string, SQLOutputValue>;

class SqliteJobs implements JobQueue {
  readonly #database: DatabaseSync;
  readonly #leaseMs: number;
  readonly #clock: Clock;

  constructor(database: DatabaseSync, leaseMs: number, clock: Clock) {
    this.#database = database;
    this.#leaseMs = leaseMs;
    this.#clock = clock;
  }

  async enqueue(job: NewJob): Promise<'added' | 'exists'> {
    checkJob(job);
    const { changes } = this.#database
      .prepare(
        `INSERT INTO dr_jobs (id, plan, scheduled_at, payload, attempts_max, retry_delay_ms,
           state, attempts, not_before, lease_until)
         VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, 0, 0) ON CONFLICT (id) DO NOTHING`,
      )
      .run(
        job.id,
        job.plan,
        job.scheduledAtMs,
        JSON.stringify(job.payload),
        job.attemptsMax,
        job.retryDelayMs,
      );
    return changes === 1 ? 'added' : 'exists';
  }

  async claim(worker: string): Promise<JobClaim | undefined> {
    const now = this.#clock.nowMs();
    const token = `${worker}-${randomBytes(6).toString('hex')}`;
    this.#failExhausted(now);
    const row = this.#database
      .prepare(
        `UPDATE dr_jobs SET state = 'active', attempts = attempts + 1, token = ?, lease_until = ?
         WHERE id = (SELECT id FROM dr_jobs
           WHERE (state = 'waiting' AND not_before <= ?) OR (state = 'active' AND lease_until < ?)
           ORDER BY scheduled_at, id LIMIT 1)
         RETURNING *`,
      )
      .get(token, now + this.#leaseMs, now, now) as Row | undefined;
    return row && { job: toJob(row), token };
  }

  async heartbeat(claim: JobClaim): Promise<void> {
    const until = this.#clock.nowMs() + this.#leaseMs;
    this.#change(claim, 'UPDATE dr_jobs SET lease_until = ? WHERE id = ? AND token = ?', [until]);
  }

  async complete(claim: JobClaim, result: unknown): Promise<void> {
    this.#change(
      claim,
      `UPDATE dr_jobs SET state = 'done', result = ?, error = NULL, finished_at = ?, token = NULL
       WHERE id = ? AND token = ?`,
      [JSON.stringify(result ?? null), this.#clock.nowMs()],
    );
  }

  async release(claim: JobClaim): Promise<void> {
    this.#change(
      claim,
      `UPDATE dr_jobs SET state = 'waiting', attempts = attempts - 1, not_before = 0, token = NULL
       WHERE id = ? AND token = ?`,
      [],
    );
  }

  async fail(claim: JobClaim, error: string): Promise<JobState> {
    const { job } = claim;
    const now = this.#clock.nowMs();
    const state: JobState = job.attempts >= job.attemptsMax ? 'failed' : 'waiting';
    this.#change(
      claim,
      `UPDATE dr_jobs SET state = ?, error = ?, not_before = ?, finished_at = ?, token = NULL
       WHERE id = ? AND token = ?`,
      [state, error, now + job.retryDelayMs, state === 'failed' ? now : null],
    );
    return state;
  }

  async list(filter: { plan?: string; limit?: number } = {}): Promise<Job[]> {
    const rows = this.#database
      .prepare(
        `SELECT * FROM dr_jobs WHERE ? IS NULL OR plan = ?
         ORDER BY scheduled_at DESC, id DESC LIMIT ?`,
      )
      .all(filter.plan ?? null, filter.plan ?? null, filter.limit ?? 1000) as Row[];
    return rows.map(toJob);
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }

  /** A job whose every try ended with a dead worker fails instead of killing workers for ever. */
  #failExhausted(now: number): void {
    this.#database
      .prepare(
        `UPDATE dr_jobs SET state = 'failed', finished_at = ?, token = NULL,
           error = coalesce(error, 'the worker died')
         WHERE state = 'active' AND lease_until < ? AND attempts >= attempts_max`,
      )
      .run(now, now);
  }

  /** Changes the claimed row; no row means the token is not the current one. */
  #change(claim: JobClaim, statement: string, values: (string | number | null)[]): void {
    const { changes } = this.#database.prepare(statement).run(...values, claim.job.id, claim.token);
    if (changes !== 1) throw lostClaim(claim.job.id);
  }
}

const optionalText = (value: SQLOutputValue | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

function toJob(row: Row): Job {
  const result = optionalText(row['result']);
  return {
    id: String(row['id']),
    plan: String(row['plan']),
    scheduledAtMs: Number(row['scheduled_at']),
    payload: JSON.parse(String(row['payload'])) as Record<string, unknown>,
    attemptsMax: Number(row['attempts_max']),
    retryDelayMs: Number(row['retry_delay_ms']),
    state: String(row['state']) as JobState,
    attempts: Number(row['attempts']),
    error: optionalText(row['error']),
    result: result === undefined ? undefined : JSON.parse(result),
    finishedAtMs: row['finished_at'] === null ? undefined : Number(row['finished_at']),
  };
}
