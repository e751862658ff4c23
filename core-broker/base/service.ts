// A Service owns loops that live from start to stop. A loop that dies stops its daemon: the process
// ends with an error instead of running on without a part.
import { DrError } from './errors.ts';

/** What every long-running part offers. stop() is idempotent and resolves when nothing runs any more. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Runs loops under one AbortSignal.
 * `onDeath` is told of the first loop that rejects for another reason than the stop.
 */
export class LoopSet {
  readonly #controller = new AbortController();
  readonly #loops = new Set<Promise<void>>();
  readonly #onDeath: (reason: DrError, name: string) => void;

  constructor(onDeath: (reason: DrError, name: string) => void) {
    this.#onDeath = onDeath;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts one loop; it should end when the signal fires. */
  run(name: string, loop: (signal: AbortSignal) => Promise<void>): void {
    const running = loop(this.signal)
      .catch((reason: unknown) => {
        if (!this.signal.aborted) this.#onDeath(DrError.from(reason), name);
      })
      .finally(() => this.#loops.delete(running));
    this.#loops.add(running);
  }

  /** Fires the signal and waits until every loop has ended. */
  async stop(): Promise<void> {
    if (!this.signal.aborted) this.#controller.abort(new DrError('CANCELLED', 'stopped'));
    await Promise.all(this.#loops);
  }
}
