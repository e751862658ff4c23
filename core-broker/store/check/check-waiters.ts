// Who waits for link bytes to be checked: for some progress, or for all of it.
// Invariant: damage rejects who waits for progress (the link must know) and resolves who waits for the
// end of it: then the validated end is what they look at.

interface Waiter {
  resolve: () => void;
  reject: (reason: Error) => void;
}

export class CheckWaiters {
  #more: Waiter[] = [];
  #settled: (() => void)[] = [];

  more(): Promise<void> {
    return new Promise((resolve, reject) => this.#more.push({ resolve, reject }));
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  /** @param isAll nothing is left to check */
  release(isAll: boolean): void {
    for (const { resolve } of this.#more.splice(0)) resolve();
    if (isAll) for (const resolve of this.#settled.splice(0)) resolve();
  }

  fail(reason: Error): void {
    for (const { reject } of this.#more.splice(0)) reject(reason);
  }
}
