// Control store in Redis: several controllers on several machines. One key prefix per product
// installation; checks and writes are Lua scripts (redis-scripts.ts); a change of a watched key is
// published, and read again when a lost connection comes back.
// Durability is the server's: it must run with appendonly yes, appendfsync always and noeviction,
// which open() looks at and complains about. Source: ours; ioredis.
import { Redis } from 'ioredis';
import { createLog, DrError, type Log } from '../../core-broker/base/index.ts';
import type {
  ControlStore,
  JournalEntry,
  LeaseAnswer,
  LeaseGuard,
  LeaseRequest,
  LeaseRow,
  StoredValue,
} from './door.ts';
import { REDIS_SCRIPTS } from './redis-scripts.ts';
import { leaseLost } from './sqlite.ts';

type Script = (...args: (string | number)[]) => Promise<unknown>;
type Scripted = Redis & Record<keyof typeof REDIS_SCRIPTS, Script>;

export interface RedisControlStoreOptions {
  /** redis:// or rediss:// with user, password and database. */
  url: string;
  /** Keys are `{prefix}:…`. */
  prefix: string;
  /** Bound of one command, ms. */
  timeoutMs?: number;
}

/**
 * Connects and checks the server's durability settings.
 * @throws DrError UNREACHABLE, AUTH
 */
export async function openRedisControlStore(
  options: RedisControlStoreOptions,
): Promise<ControlStore> {
  const log = createLog('control-store');
  const client = connect(options, log);
  try {
    await client.connect();
    await complainAboutVolatility(client, log);
    return new RedisControlStore(client, options, log);
  } catch (reason) {
    client.disconnect();
    throw toDrError(reason);
  }
}

function connect(options: RedisControlStoreOptions, log: Log): Scripted {
  const timeoutMs = options.timeoutMs ?? 3_000;
  const scripts = Object.fromEntries(Object.entries(REDIS_SCRIPTS).map(([name, s]) => [name, s]));
  const client = new Redis(options.url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 1,
    scripts,
  });
  client.on('error', (reason: Error) => {
    log.warn('control-store.connection', 'redis connection failed, will retry', {
      reason: reason.message,
    });
  });
  return client as Scripted;
}

/** A server that may forget answered writes is told about once; managed ones hide CONFIG. */
async function complainAboutVolatility(client: Redis, log: Log): Promise<void> {
  const wanted = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' };
  for (const [key, value] of Object.entries(wanted)) {
    try {
      const [, found] = (await client.config('GET', key)) as string[];
      if (found !== value) {
        log.warn('control-store.volatile', `redis ${key} is ${found}, should be ${value}`);
      }
    } catch (reason) {
      if (toDrError(reason).code !== 'REMOTE') throw reason;
      // Expected where CONFIG is not allowed.
      log.warn('control-store.unchecked', `redis does not tell ${key}; it should be ${value}`);
    }
  }
}

class RedisControlStore implements ControlStore {
  readonly #client: Scripted;
  readonly #options: RedisControlStoreOptions;
  readonly #log: Log;
  readonly #subscribers = new Set<Redis>();

  constructor(client: Scripted, options: RedisControlStoreOptions, log: Log) {
    this.#client = client;
    this.#options = options;
    this.#log = log;
  }

  async acquireLease(name: string, request: LeaseRequest): Promise<LeaseAnswer> {
    const owner = JSON.stringify(request.owner);
    const [isHeld, token, holder, remainingMs] = (await this.#run('drAcquire', [
      this.#key('lease', name),
      owner,
      request.ttlMs,
      request.evictToken ?? -1,
    ])) as [number, number, string, number];
    if (isHeld === 1) return { isHeld: true, token };
    return { isHeld: false, holder: { token, owner: JSON.parse(holder), remainingMs } };
  }

  async renewLease(name: string, token: number, ttlMs: number): Promise<boolean> {
    return (await this.#run('drRenew', [this.#key('lease', name), token, ttlMs])) === 1;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    await this.#run('drRelease', [this.#key('lease', name), token]);
  }

  async readLease(name: string): Promise<LeaseRow | undefined> {
    const row = (await this.#run('drReadLease', [this.#key('lease', name)])) as
      | [number, string, number]
      | [];
    if (row.length === 0) return undefined;
    const [token, owner, remainingMs] = row;
    return { token, owner: JSON.parse(owner), remainingMs };
  }

  async read(key: string): Promise<StoredValue | undefined> {
    const [version, value] = await orDrError(() =>
      this.#client.hmget(this.#key('entry', key), 'version', 'value'),
    );
    if (!version || !value) return undefined;
    return { version: Number(version), value: JSON.parse(value) };
  }

  async compareAndSet(
    key: string,
    expectedVersion: number,
    value: unknown,
  ): Promise<number | undefined> {
    const version = (await this.#run('drCompareAndSet', [
      this.#key('entry', key),
      expectedVersion,
      JSON.stringify(value),
      this.#key('changed', key),
    ])) as number;
    return version === 0 ? undefined : version;
  }

  async append(stream: string, record: unknown, guard?: LeaseGuard): Promise<number> {
    const seq = (await this.#run('drAppend', [
      this.#key('journal', stream),
      this.#key('lease', guard?.lease ?? ''),
      JSON.stringify(record),
      guard?.token ?? '',
    ])) as number;
    if (guard && seq === -1) throw leaseLost(guard);
    return seq;
  }

  async readJournal(stream: string, afterSeq = 0): Promise<JournalEntry[]> {
    const rows = await orDrError(() =>
      this.#client.lrange(this.#key('journal', stream), afterSeq, -1),
    );
    return rows.map((row, index) => ({ seq: afterSeq + index + 1, record: JSON.parse(row) }));
  }

  async watch(key: string, listener: (entry: StoredValue) => void): Promise<() => Promise<void>> {
    const subscriber = connect(this.#options, this.#log);
    this.#subscribers.add(subscriber);
    let seen = (await this.read(key))?.version ?? 0;
    const look = async () => {
      const entry = await this.read(key);
      if (!entry || entry.version <= seen || !this.#subscribers.has(subscriber)) return;
      seen = entry.version;
      listener(entry);
    };
    const onChange = () => {
      look().catch((reason: unknown) => {
        this.#log.warn('control-store.watch', 'a watched key could not be read', {
          key,
          reason: toDrError(reason).message,
        });
      });
    };
    subscriber.on('message', onChange);
    // Changes published while the connection was down are found by reading once more.
    subscriber.on('ready', onChange);
    await orDrError(() => subscriber.subscribe(this.#key('changed', key)));
    onChange();
    return async () => {
      this.#subscribers.delete(subscriber);
      subscriber.disconnect();
    };
  }

  async close(): Promise<void> {
    for (const subscriber of this.#subscribers) subscriber.disconnect();
    this.#subscribers.clear();
    this.#client.disconnect();
  }

  #key(kind: string, name: string): string {
    return `{${this.#options.prefix}}:${kind}:${name}`;
  }

  #run(name: keyof typeof REDIS_SCRIPTS, args: (string | number)[]): Promise<unknown> {
    return orDrError(() => this.#client[name](...args));
  }
}

async function orDrError<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (reason) {
    throw toDrError(reason);
  }
}

/** Redis replies with an error word in front; everything else is a lost or slow connection. */
function toDrError(reason: unknown): DrError {
  if (reason instanceof DrError) return reason;
  const failure = reason instanceof Error ? reason : new Error(String(reason));
  if (failure.name !== 'ReplyError') {
    return new DrError('UNREACHABLE', `redis: ${failure.message}`, { cause: reason });
  }
  const isAuth = /^(NOAUTH|WRONGPASS)/.test(failure.message);
  return new DrError(isAuth ? 'AUTH' : 'REMOTE', `redis: ${failure.message}`, { cause: reason });
}
