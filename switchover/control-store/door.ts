// The port of the control store: lease, compare-and-set, journal, watch. Adapters: sqlite, redis.
// It only remembers. Safety rests on the epoch that brokers check: with this store lost or stale a
// switch may have to be asked for again, never goes wrong.
// Invariants, checked by one contract suite for every adapter: a lease token only grows; a guarded
// append of a holder that lost its lease is refused; what a call answered survives kill -9.

/** Who holds a lease; shown to the operator who is refused, and used to see that a holder died. */
export interface LeaseOwner {
  /** Random id of the holder. */
  id: string;
  host: string;
  pid: number;
  /** What it is doing, e.g. `switchover`. */
  purpose: string;
}

export interface LeaseRow {
  owner: LeaseOwner;
  /** Fencing token; grows with every acquisition. */
  token: number;
  /** Ms until the lease lapses without a renewal, by the clock of the store; negative = lapsed. */
  remainingMs: number;
}

export type LeaseAnswer = { isHeld: true; token: number } | { isHeld: false; holder: LeaseRow };

export interface LeaseRequest {
  owner: LeaseOwner;
  ttlMs: number;
  /** Takes the lease from the holder of exactly this token: it was seen dead. */
  evictToken?: number;
}

export interface StoredValue {
  /** 1 at the first write; grows by one. */
  version: number;
  value: unknown;
}

export interface JournalEntry {
  seq: number;
  record: unknown;
}

export interface LeaseGuard {
  lease: string;
  token: number;
}

export interface ControlStore {
  acquireLease(name: string, request: LeaseRequest): Promise<LeaseAnswer>;
  /** False: the lease was taken by another owner or released. A lapsed one nobody took is renewed. */
  renewLease(name: string, token: number, ttlMs: number): Promise<boolean>;
  /** Nothing happens when the token is not the holder's. */
  releaseLease(name: string, token: number): Promise<void>;
  /** The current holder, lapsed or not; undefined when released. */
  readLease(name: string): Promise<LeaseRow | undefined>;
  read(key: string): Promise<StoredValue | undefined>;
  /**
   * Writes when the stored version is `expectedVersion` (0 = the key does not exist).
   * @returns the new version, or undefined when another writer was faster
   */
  compareAndSet(key: string, expectedVersion: number, value: unknown): Promise<number | undefined>;
  /**
   * Appends one JSON value to a stream; durable on return.
   * @returns its sequence number, growing within the stream
   * @throws DrError LOCKED when `guard` names a lease token that is not the holder's any more
   */
  append(stream: string, record: unknown, guard?: LeaseGuard): Promise<number>;
  readJournal(stream: string, afterSeq?: number): Promise<JournalEntry[]>;
  /** Calls back with the latest value after each change, also of other openers; returns the end. */
  watch(key: string, listener: (entry: StoredValue) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
