// Compiled expressions by their text: pulls with the expression in their header bring it every time.
// Bounded by entries and by characters; what was used longest ago goes first.
// Source: SelectorParser's cache, behaviour only.
import { type CompiledFilter, compileFilter } from '../../protocol/index.ts';

const ENTRIES_MAX = 256;
const CHARACTERS_MAX = 1_000_000;

export class FilterCache {
  readonly #filters = new Map<string, CompiledFilter>();
  #characters = 0;

  /** @throws DrError USAGE with reason and position */
  compile(text: string): CompiledFilter {
    const present = this.#filters.get(text);
    if (present !== undefined) {
      this.#filters.delete(text);
      this.#filters.set(text, present);
      return present;
    }
    const made = compileFilter(text);
    this.#filters.set(text, made);
    this.#characters += text.length;
    this.#trim();
    return made;
  }

  #trim(): void {
    for (const text of this.#filters.keys()) {
      if (this.#filters.size <= ENTRIES_MAX && this.#characters <= CHARACTERS_MAX) return;
      this.#filters.delete(text);
      this.#characters -= text.length;
    }
  }
}
