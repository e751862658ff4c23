// Control store in one SQLite file: nothing to install, several openers on one machine.
// WAL and synchronous=FULL: an answered write survives a power loss. Every change is one IMMEDIATE
// transaction, so a check and its write are one step for all openers. Lease times are wall clock
// (all openers share the machine). Source: ours; node:sqlite.
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Clock, DrError, makeFolder, systemClock } from '../../core-broker/base/index.ts';
import type {
  ControlStore,
  JournalEntry,
  LeaseAnswer,
  LeaseGuard,
  LeaseOwner,
  LeaseRequest,
  LeaseRow,
  StoredValue,
} from './door.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY, token INTEGER NOT NULL, owner TEXT, expires_at_ms REAL NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS entry (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, record TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS journal_stream ON journal (stream, seq);
`;
/** How long an opener waits for another one's transaction. */
const BUSY_TIMEOUT_MS = 5_000;
const WATCH_INTERVAL_MS = 100;

interface LeaseRecord {
  token: number;
  owner: string | null;
  expires_at_ms: number;
}

export interface SqliteControlStoreOptions {
  /** File path; its folder is created. `:memory:` keeps nothing. */
  path: string;
  clock?: Clock;
}

/** Opens (and creates) the store. @throws DrError CONFIG when the file is no usable database */
export function openSqliteControlStore(options: SqliteControlStoreOptions): ControlStore {
  try {
    return new SqliteControlStore(options);
  } catch (reason) {
    throw new DrError('CONFIG', `control store ${options.path}: ${DrError.from(reason).message}`, {
      hint: 'controlStore.path must name a file that this user may write',
      cause: reason,
    });
  }
}

class SqliteControlStore implements ControlStore {
  readonly #db: DatabaseSync;
  readonly #clock: Clock;
  readonly #watches = new Set<NodeJS.Timeout>();

  constructor(options: SqliteControlStoreOptions) {
    if (options.path !== ':memory:') makeFolder(path.dirname(options.path));
    this.#clock = options.clock ?? systemClock;
    this.#db = new DatabaseSync(options.path, { timeout: BUSY_TIMEOUT_MS });
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    this.#db.exec(SCHEMA);
  }

  async acquireLease(name: string, request: LeaseRequest): Promise<LeaseAnswer> {
    return this.#transaction((): LeaseAnswer => {
      const row = this.#leaseRecord(name);
      const holder = row && this.#toLeaseRow(row);
      const isFree = !holder || holder.remainingMs <= 0 || holder.token === request.evictToken;
      if (!isFree) return { isHeld: false, holder };
      const token = (row?.token ?? 0) + 1;
      this.#db
        .prepare(
          `INSERT INTO lease (name, token, owner, expires_at_ms) VALUES (?, ?, ?, ?)
           ON CONFLICT (name) DO UPDATE SET
             token = excluded.token, owner = excluded.owner, expires_at_ms = excluded.expires_at_ms`,
        )
        .run(name, token, JSON.stringify(request.owner), this.#clock.nowMs() + request.ttlMs);
      return { isHeld: true, token };
    });
  }

  async renewLease(name: string, token: number, ttlMs: number): Promise<boolean> {
    const done = this.#db
      .prepare(
        'UPDATE lease SET expires_at_ms = ? WHERE name = ? AND token = ? AND owner IS NOT NULL',
      )
      .run(this.#clock.nowMs() + ttlMs, name, token);
    return done.changes === 1;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    // The row stays: its token must go on growing.
    this.#db
      .prepare('UPDATE lease SET owner = NULL, expires_at_ms = 0 WHERE name = ? AND token = ?')
      .run(name, token);
  }

  async readLease(name: string): Promise<LeaseRow | undefined> {
    const row = this.#leaseRecord(name);
    return row && this.#toLeaseRow(row);
  }

  async read(key: string): Promise<StoredValue | undefined> {
    const row = this.#db.prepare('SELECT version, value FROM entry WHERE key = ?').get(key) as
      | { version: number; value: string }
      | undefined;
    return row && { version: row.version, value: JSON.parse(row.value) };
  }

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: unknown,
  ): Promise<number | undefined> {
    const text = JSON.stringify(value);
    const done =
      expectedVersion === 0
        ? this.#db
            .prepare(
              'INSERT INTO entry (key, version, value) VALUES (?, 1, ?) ON CONFLICT DO NOTHING',
            )
            .run(key, text)
        : this.#db
            .prepare(
              'UPDATE entry SET version = version + 1, value = ? WHERE key = ? AND version = ?',
            )
            .run(text, key, expectedVersion);
    return done.changes === 1 ? expectedVersion + 1 : undefined;
  }

  async append(stream: string, record: unknown, guard?: LeaseGuard): Promise<number> {
    return this.#transaction(() => {
      if (guard && !this.#isHolder(guard)) throw leaseLost(guard);
      const done = this.#db
        .prepare('INSERT INTO journal (stream, record) VALUES (?, ?)')
        .run(stream, JSON.stringify(record));
      return Number(done.lastInsertRowid);
    });
  }

  async readJournal(stream: string, afterSeq = 0): Promise<JournalEntry[]> {
    const rows = this.#db
      .prepare('SELECT seq, record FROM journal WHERE stream = ? AND seq > ? ORDER BY seq')
      .all(stream, afterSeq) as { seq: number; record: string }[];
    return rows.map((row) => ({ seq: row.seq, record: JSON.parse(row.record) }));
  }

  async watch(key: string, listener: (entry: StoredValue) => void): Promise<() => Promise<void>> {
    let seen = (await this.read(key))?.version ?? 0;
    // SQLite tells nobody about writes of other processes; a look at one row is cheap.
    const timer = setInterval(async () => {
      const entry = await this.read(key);
      if (!entry || entry.version === seen || !this.#watches.has(timer)) return;
      seen = entry.version;
      listener(entry);
    }, WATCH_INTERVAL_MS);
    this.#watches.add(timer);
    return async () => {
      clearInterval(timer);
      this.#watches.delete(timer);
    };
  }

  async close(): Promise<void> {
    for (const timer of this.#watches) clearInterval(timer);
    this.#watches.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #leaseRecord(name: string): LeaseRecord | undefined {
    return this.#db
      .prepare('SELECT token, owner, expires_at_ms FROM lease WHERE name = ?')
      .get(name) as LeaseRecord | undefined;
  }

  #toLeaseRow(row: LeaseRecord): LeaseRow | undefined {
    if (row.owner === null) return undefined;
    const owner = JSON.parse(row.owner) as LeaseOwner;
    return { owner, token: row.token, remainingMs: row.expires_at_ms - this.#clock.nowMs() };
  }

  #isHolder(guard: LeaseGuard): boolean {
    const row = this.#leaseRecord(guard.lease);
    return row !== undefined && row.owner !== null && row.token === guard.token;
  }

  #transaction<T>(body: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = body();
      this.#db.exec('COMMIT');
      return result;
    } catch (reason) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw reason;
    }
  }
}

/** The holder was evicted: it must stop at once. */
export function leaseLost(guard: LeaseGuard): DrError {
  return new DrError('LOCKED', `the lease ${guard.lease} was taken over by another controller`, {
    hint: 'look at `dr status`; the other controller goes on with the operation',
    retry: 'never',
    context: { lease: guard.lease, token: guard.token },
  });
}
