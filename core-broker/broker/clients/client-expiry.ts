// Removes clients that are gone: closed connections at once, silent ones (no heartbeat for 120 s) by a
// scan that closes them. Source: ClientHousekeepingService, behaviour only.
import { type Clock, LIMITS } from '../../base/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { ConsumerTable } from './consumer-table.ts';
import type { ProducerTable } from './producer-table.ts';
import type { QueueLocks } from './queue-locks.ts';

const SCAN_MS = 10_000;

export interface ClientExpiryOptions {
  consumers: ConsumerTable;
  producers: ProducerTable;
  locks: QueueLocks;
  clock: Clock;
}

export class ClientExpiry {
  readonly #options: ClientExpiryOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ClientExpiryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.scan(), SCAN_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  forget(connection: ServerConnection): void {
    this.#options.consumers.forget(connection);
    this.#options.producers.forget(connection);
  }

  scan(): void {
    const { consumers, producers, locks, clock } = this.#options;
    const beforeMs = clock.monotonicMs() - LIMITS.connectionIdleMs;
    const silent = [...consumers.silentSince(beforeMs), ...producers.silentSince(beforeMs)];
    for (const { connection } of silent) {
      this.forget(connection);
      connection.close();
    }
    locks.sweep();
  }
}
