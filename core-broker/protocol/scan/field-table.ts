// Which header field a key is, decided over bytes: index by (length, first and last byte), then one
// compare. Unknown keys are -1 and skipped by the scanners.
// Invariant: two keys of one table never share an index; checked when the table is built.

const SLOTS = 4096;
const UNKNOWN = -1;

export class FieldTable {
  readonly #ids = new Int8Array(SLOTS).fill(UNKNOWN);
  readonly #names: Buffer[];

  /** @param names position in the list = id of the field */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Buffer.from(name));
    this.#names.forEach((name, id) => {
      const slot = slotOf(name.length, name[0]!, name[name.length - 1]!);
      if (this.#ids[slot] !== UNKNOWN) throw new Error(`field table: ${name} collides`);
      this.#ids[slot] = id;
    });
  }

  /** Id of the key at [start, start + length), or -1. */
  find(bytes: Buffer, start: number, length: number): number {
    if (length === 0) return UNKNOWN;
    const id = this.#ids[slotOf(length, bytes[start]!, bytes[start + length - 1]!)]!;
    if (id === UNKNOWN) return UNKNOWN;
    const name = this.#names[id]!;
    if (name.length !== length) return UNKNOWN;
    // Why: for one byte the slot alone decides, and the short names of SEND V2 are all one byte.
    if (length === 1) return id;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== name[i]) return UNKNOWN;
    return id;
  }
}

function slotOf(length: number, first: number, last: number): number {
  return (((length & 31) << 7) ^ (first << 3) ^ last) & (SLOTS - 1);
}
