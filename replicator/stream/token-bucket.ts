// Bandwidth cap: bytes are taken after they arrived, the answer is how long to stop reading.
// A debt is paid by waiting, so the mean rate holds for chunks of any size; unused time is credited for
// at most BURST_MS. Pure: the caller brings the time.

const BURST_MS = 100;

export class TokenBucket {
  readonly #bytesPerMs: number;
  #balance = 0;
  #lastMs: number;

  /** @param bytesPerSec 0 = no cap */
  constructor(bytesPerSec: number, nowMs: number) {
    this.#bytesPerMs = bytesPerSec / 1000;
    this.#lastMs = nowMs;
  }

  /** @returns ms to wait before reading on; 0 = go on */
  take(bytes: number, nowMs: number): number {
    if (this.#bytesPerMs === 0) return 0;
    const credit = Math.max(0, nowMs - this.#lastMs) * this.#bytesPerMs;
    this.#lastMs = nowMs;
    this.#balance = Math.min(this.#balance + credit, BURST_MS * this.#bytesPerMs) - bytes;
    return this.#balance >= 0 ? 0 : Math.ceil(-this.#balance / this.#bytesPerMs);
  }
}
