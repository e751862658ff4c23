// A compiled SQL92 expression and the properties of one record it looks at. Properties stay bytes until
// a name is asked for: one pass notes where the wanted values stand, and only those become text.
// As in Java, a later value of a name wins and an entry without a value does not count.

import type { PropertyRow } from './operations.ts';
import { parseFilter } from './parser.ts';
import { INCOMPARABLE } from './values.ts';
import { findWanted, WantedNames } from './wanted-names.ts';

export interface CompiledFilter {
  readonly text: string;
  readonly names: readonly string[];
  /** Steps one evaluation may take; what a reader of many records counts. */
  readonly work: number;
  /** Whether it is true; what cannot be compared is not. */
  matches(row: PropertyRow): boolean;
  /** The same for properties as they stand in a record. */
  matchesBytes(bytes: Buffer, start: number, length: number): boolean;
}

/**
 * Compiles an expression.
 * @throws DrError USAGE with reason and position
 */
export function compileFilter(text: string): CompiledFilter {
  const { root, names } = parseFilter(text);
  const row = new ByteRow(names);
  const matches = (properties: PropertyRow): boolean => {
    try {
      return root.evaluate(properties) === true;
    } catch (reason) {
      if (reason === INCOMPARABLE) return false;
      throw reason;
    }
  };
  return {
    text,
    names,
    work: root.work + names.length,
    matches,
    matchesBytes: (bytes, start, length) => matches(row.over(bytes, start, length)),
  };
}

/** Reused between records; filled at the first look. */
class ByteRow implements PropertyRow {
  readonly #wanted: WantedNames;
  readonly #texts: (string | undefined)[];
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #length = 0;
  #isScanned = false;

  constructor(names: readonly string[]) {
    this.#wanted = new WantedNames(names);
    this.#texts = new Array(names.length);
  }

  over(bytes: Buffer, start: number, length: number): this {
    this.#bytes = bytes;
    this.#start = start;
    this.#length = length;
    this.#isScanned = false;
    return this;
  }

  value(slot: number): string | null {
    if (!this.#isScanned) this.#scan();
    const { starts, ends } = this.#wanted;
    if (starts[slot]! < 0) return null;
    this.#texts[slot] ??= this.#bytes.toString('utf8', starts[slot], ends[slot]);
    return this.#texts[slot];
  }

  #scan(): void {
    this.#texts.fill(undefined);
    findWanted(this.#bytes, { start: this.#start, end: this.#start + this.#length }, this.#wanted);
    this.#isScanned = true;
  }
}
