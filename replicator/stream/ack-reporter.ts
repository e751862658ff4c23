// Acknowledges to the source what is checked and durable here, and nothing else: check, fsync, report.
// One fsync at a time; while it runs more bytes gather for the next, so the rate follows the disk.
// The last report is repeated on a clock, because a source drops a peer that stays silent for 20 s.
import { DrError, sleep } from '../../core-broker/base/index.ts';

/** So far behind nobody waits for single records; syncing less often leaves the disk to the copy. */
const BEHIND_BYTES = 32 * 1024 * 1024;
const BEHIND_MS = 200;

export interface AckOptions {
  ackMs: number;
  reportMs: number;
}

export interface AckPorts {
  /** End of what was checked. */
  checkedEnd(): number;
  /** Resolves when that moved, or when there is nothing to check. @throws DrError CORRUPT */
  checkedMore(): Promise<void>;
  /** fsync of everything taken. */
  flush(): Promise<void>;
  report(offset: number): void;
  onFailure(reason: DrError): void;
}

export class AckReporter {
  readonly #options: AckOptions;
  readonly #ports: AckPorts;
  readonly #timer: NodeJS.Timeout;
  #taken: number;
  #durable: number;
  #isFlushing = false;
  #isStopped = false;

  /** @param durable end that is on disk already */
  constructor(durable: number, options: AckOptions, ports: AckPorts) {
    this.#taken = durable;
    this.#durable = durable;
    this.#options = options;
    this.#ports = ports;
    this.#timer = setInterval(() => ports.report(this.#durable), options.reportMs);
  }

  /** End of what the sink took so far. */
  note(taken: number): void {
    this.#taken = taken;
    if (this.#isFlushing || this.#isStopped || taken <= this.#durable) return;
    this.#isFlushing = true;
    this.#flush().catch((reason: unknown) => this.#ports.onFailure(DrError.from(reason)));
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  async #flush(): Promise<void> {
    try {
      while (!this.#isStopped && this.#taken > this.#durable) {
        const end = this.#ports.checkedEnd();
        if (end <= this.#durable) {
          await this.#ports.checkedMore();
          // Nothing to check but half a record: its rest is noted when it comes.
          if (this.#ports.checkedEnd() === end) return;
          continue;
        }
        const startedMs = performance.now();
        await this.#ports.flush();
        this.#durable = end;
        if (this.#isStopped) return;
        this.#ports.report(end);
        // A slow disk is left idle half of the time.
        const pauseMs = Math.max(this.#options.ackMs, performance.now() - startedMs);
        const isBehind = this.#taken - end > BEHIND_BYTES;
        await sleep(isBehind ? Math.max(BEHIND_MS, pauseMs) : pauseMs);
      }
    } finally {
      this.#isFlushing = false;
    }
  }
}
