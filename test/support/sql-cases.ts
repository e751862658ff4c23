// SQL92 expressions and properties for tests: a table of cases that each make one point, and a seeded
// generator of whole, odd and broken expressions over a few property names and values.

export interface SqlCase {
  expression: string;
  properties: Record<string, string>;
}

/** Values that are near the limits of Java's types, or look like numbers without being one. */
const VALUES = [
  '', '0', '1', '-1', '+5', '5', '5.0', '5.5', '05', ' 5', '5 ', '5L', '5f', '1e3', '1E400', '-0',
  '0.0', '-0.0', 'NaN', 'Infinity', '-Infinity', '0x10', '0x1.8p1', '0x.8p0', '2147483647',
  '2147483648', '-2147483648', '9223372036854775807', '9223372036854775808', 'true', 'TRUE', 'false',
  'abc', 'ABC', "it's", 'a', 'b', 'TagA', '٣', '５', '9007199254740993', '1_0', '1.', '.5', '.', '-',
  'x=1', 'ä', '中文', '1e-400', '4.9E-324', '100000000000000000000', '0000000000000000000000007',
]; // biome-ignore format: a table of words
const NAMES = ['a', 'b', 'c', 'age', '_x', '$y', 'TAGS', 'Between1', 'missing'];
const LITERALS = [
  '0', '1', '5', '5L', '10l', '007', '2147483647', '2147483648', '9223372036854775807',
  '9223372036854775808', '0.5', '5.', '.5', '5.0', '1e3', '1.5E+2', '0.0', '1e400', '1e-400',
  '9007199254740993', "''", "'a'", "'5'", "'abc'", "'it''s'", "'TRUE'", "'中文'", 'TRUE', 'false',
  'Null', 'NULL',
]; // biome-ignore format: a table of words
const STRINGS = ["''", "'a'", "'b'", "'5'", "'abc'", "'bc'", "'it''s'", "'TagA'", "'中文'"];
const NOISE = [
  '(', ')', ',', '=', '<>', '!=', '<', '--', '/* x */', '/*', "'", '"', 'NOT', 'AND', 'OR', 'IN',
  'IS', 'BETWEEN', 'LIKE', ';', '#', '.', '-- x\n', '\t', '5E', '+', '-', 'a', '0', "'a'",
]; // biome-ignore format: a table of words

/** Numbers in [0, 1) from a seed; the same on every machine. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class SqlCases {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  next(): SqlCase {
    const expression = this.#truth(1 + this.#below(3));
    return {
      expression: this.#below(12) === 0 ? this.#broken(expression) : expression,
      properties: this.properties(),
    };
  }

  properties(): Record<string, string> {
    const names = NAMES.filter((name) => name !== 'missing' && this.#below(4) > 0);
    return Object.fromEntries(names.map((name) => [name, this.#pick(VALUES)]));
  }

  #truth(depth: number): string {
    if (depth <= 0) return this.#test(0);
    const kind = this.#below(8);
    if (kind <= 1) return `${this.#truth(depth - 1)} AND ${this.#truth(depth - 1)}`;
    if (kind <= 3) return `${this.#truth(depth - 1)} or ${this.#truth(depth - 1)}`;
    if (kind === 4) return `NOT (${this.#truth(depth - 1)})`;
    if (kind === 5) return `(${this.#truth(depth - 1)})`;
    return this.#test(depth);
  }

  #test(depth: number): string {
    const left = this.#operand(depth);
    const no = this.#below(3) === 0 ? 'NOT ' : '';
    switch (this.#below(9)) {
      case 0:
        return `${left} ${no}BETWEEN ${this.#operand(0)} AND ${this.#operand(0)}`;
      case 1:
        return `${this.#pick(NAMES)} ${no}IN (${this.#list()})`;
      case 2:
        return `${left} IS ${no}NULL`;
      case 3:
        return `${left} ${no}${this.#pick(['CONTAINS', 'STARTSWITH', 'endswith'])} ${this.#pick(STRINGS)}`;
      case 4:
        return left;
      default:
        return `${left}${this.#pick([' = ', ' <> ', '>', '>=', ' < ', '<='])}${this.#operand(depth)}`;
    }
  }

  #operand(depth: number): string {
    const kind = this.#below(13);
    if (kind < 9) return this.#pick(NAMES);
    if (kind < 11) return this.#pick(LITERALS);
    if (kind === 11) return `${this.#pick(['-', '+', '- '])}${this.#operand(0)}`;
    return depth > 0 ? `(${this.#truth(depth - 1)})` : this.#pick(NAMES);
  }

  #list(): string {
    return Array.from({ length: 1 + this.#below(7) }, () => this.#pick(STRINGS)).join(', ');
  }

  /** Cuts, doubles or inserts a token somewhere. */
  #broken(expression: string): string {
    const tokens = expression.split(' ');
    const at = this.#below(tokens.length + 1);
    tokens.splice(at, this.#below(2), this.#pick(NOISE));
    return tokens.join(' ');
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }
}
