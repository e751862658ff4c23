// Four bytes at a time over buffers, at any position: what a byte loop does in 150 steps these do in 40,
// and without the allocation behind Buffer.copy. For ranges of some hundred bytes, as messages have them.
// Invariant: the same result as the byte loop, for every alignment and length (property test).

/** Above this many bytes the native copy wins. */
const WORD_COPY_BYTES_MAX = 160;
const WORD_BYTES = 4;

/** The DataView of a buffer; the last one is remembered, because hot loops see one buffer for long. */
export class WordViews {
  #bytes: Buffer | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  of(bytes: Buffer): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    return this.#view;
  }
}

/** Copies ranges of mostly the same source into mostly the same target. */
export class RangeCopier {
  readonly #sources = new WordViews();
  readonly #targets = new WordViews();
  #target: Buffer;

  constructor(target: Buffer) {
    this.#target = target;
  }

  into(target: Buffer): this {
    this.#target = target;
    return this;
  }

  /** Copies [start, start + length) of `source` to `at`. @returns the position behind it */
  copy(at: number, source: Buffer, start: number, length: number): number {
    const target = this.#target;
    if (length > WORD_COPY_BYTES_MAX) {
      source.copy(target, at, start, start + length);
      return at + length;
    }
    const from = this.#sources.of(source);
    const to = this.#targets.of(target);
    const words = length - WORD_BYTES;
    let i = 0;
    for (; i <= words; i += WORD_BYTES) to.setInt32(at + i, from.getInt32(start + i, true), true);
    for (; i < length; i++) target[at + i] = source[start + i]!;
    return at + length;
  }
}

const ALL_THREES = 0x03030303;
const HIGH_BITS = 0x80808080 | 0;

/**
 * First position in [at, end) whose byte is below 3 (the separators of properties are 1 and 2), or end.
 * @param view covers the same bytes as `bytes`
 */
export function separatorAt(bytes: Buffer, view: DataView, at: number, end: number): number {
  let p = at;
  for (; p <= end - WORD_BYTES; p += WORD_BYTES) {
    const word = view.getInt32(p, true);
    // Borrow may mark bytes above the first hit; the lowest mark is exact.
    const hits = (word - ALL_THREES) & ~word & HIGH_BITS;
    if (hits !== 0) return p + ((31 - Math.clz32(hits & -hits)) >>> 3);
  }
  while (p < end && bytes[p]! > 2) p++;
  return p;
}
