// Where frames end in one direction of a connection that is spliced, not parsed: only the length words
// are read. Costs a few instructions per frame and keeps no bytes.
// A stream that does not consist of frames (TLS, rubbish) is lost track of for good, at its first word:
// such a client is cut at a flip. Source: ours.
import { LIMITS } from '../../core-broker/base/index.ts';

const WORD_BYTES = 4;

export class FrameWalk {
  /** Bytes of the present frame that are still to come, once its length word is complete. */
  #left = 0;
  #word = 0;
  #wordBytes = 0;
  #isLost = false;

  /** True when the last byte seen was the last of a frame. */
  get isAtBoundary(): boolean {
    return this.#left === 0 && this.#wordBytes === 0 && !this.#isLost;
  }

  /** True once a length was impossible. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Goes over the whole chunk. */
  pass(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) at = this.passOne(chunk, at);
  }

  /** Goes from `at` to the end of the present frame or of the chunk. @returns where it stopped */
  passOne(chunk: Buffer, at: number): number {
    if (this.#isLost) return chunk.length;
    let next = at;
    if (this.#left === 0) {
      next = this.#readWord(chunk, at);
      if (this.#left === 0) return this.#isLost ? chunk.length : next;
    }
    const count = Math.min(this.#left, chunk.length - next);
    this.#left -= count;
    return next + count;
  }

  #readWord(chunk: Buffer, at: number): number {
    let next = at;
    if (this.#wordBytes === 0 && chunk.length - at >= WORD_BYTES) {
      this.#word = chunk.readInt32BE(at);
      this.#wordBytes = WORD_BYTES;
      next = at + WORD_BYTES;
    }
    while (this.#wordBytes < WORD_BYTES && next < chunk.length) {
      this.#word = (this.#word << 8) | (chunk[next++] ?? 0);
      this.#wordBytes++;
    }
    if (this.#wordBytes < WORD_BYTES) return next;
    this.#isLost = this.#word <= 0 || this.#word > LIMITS.frameBytesMax;
    this.#left = this.#isLost ? 0 : this.#word;
    this.#word = 0;
    this.#wordBytes = 0;
    return next;
  }
}
