// One change of state at a time: fence, seal, promote and their kind never interleave, whatever the
// network delivers at once. Reads (status, lag) do not pass here. Bounded: see QUEUED_MAX.
import { DrError } from '../../base/index.ts';

/** Controllers send one request at a time; more waiting ones mean something is broken. */
const QUEUED_MAX = 64;

export class Serial {
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;

  /** @throws DrError BUSY when too many changes wait; else what `change` throws */
  run<T>(change: () => Promise<T> | T): Promise<T> {
    if (this.#queued >= QUEUED_MAX) {
      return Promise.reject(new DrError('BUSY', 'too many control requests wait'));
    }
    this.#queued++;
    const done = this.#tail.then(change).finally(() => {
      this.#queued--;
    });
    // A failed change must not block the next one; its caller sees the failure through `done`.
    this.#tail = done.catch(() => undefined);
    return done;
  }
}
