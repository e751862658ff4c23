// SQL92 filters against a model: random trees are printed as text and compiled, and must decide as a
// plain walk over the tree does. The model knows whole numbers, doubles and words; what Java does with
// odd numbers is held against a real server in test/interop/sql-filter.test.ts.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileFilter, formatMessageProperties } from '../../core-broker/protocol/index.ts';

type Tree =
  | { op: 'AND'; terms: Tree[] }
  | { op: 'OR'; terms: Tree[] }
  | { op: 'NOT'; term: Tree }
  | Leaf;
type Leaf =
  | { op: 'order'; name: string; sign: '>' | '>=' | '<' | '<='; bound: number }
  | { op: 'equal'; name: string; isNot: boolean; value: number | string }
  | { op: 'between'; name: string; isNot: boolean; low: number; high: number }
  | { op: 'in'; name: string; isNot: boolean; list: string[] }
  | { op: 'null'; name: string; isNot: boolean }
  | { op: 'text'; name: string; isNot: boolean; test: TextTest; search: string };
type TextTest = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH';
type Row = Record<string, string>;

/** A message does not pass when a word stands where a number must. */
class NoNumber extends Error {}

const name = fc.constantFrom('a', 'b', '_c', '$d');
const word = fc.constantFrom('', 'x', 'xy', 'yx', "it's", 'TagA', 'x'.repeat(20));
const number = fc.integer({ min: -3, max: 12 });
const isNot = fc.boolean();
const row: fc.Arbitrary<Row> = fc.dictionary(
  name,
  fc.oneof(
    number.map(String),
    word.filter((text) => text !== ''),
  ),
);
const sign = fc.constantFrom('>' as const, '>=' as const, '<' as const, '<=' as const);
const kind = fc.constantFrom<TextTest>('CONTAINS', 'STARTSWITH', 'ENDSWITH');
const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc.record({ op: fc.constant('order' as const), name, sign, bound: number }),
  fc.record({ op: fc.constant('equal' as const), name, isNot, value: fc.oneof(number, word) }),
  fc
    .record({ op: fc.constant('between' as const), name, isNot, low: number, high: number })
    .map((tree) => ({ ...tree, high: Math.max(tree.low, tree.high) })),
  fc.record({
    op: fc.constant('in' as const),
    name,
    isNot,
    list: fc.array(word, { minLength: 1, maxLength: 7 }),
  }),
  fc.record({ op: fc.constant('null' as const), name, isNot }),
  fc.record({ op: fc.constant('text' as const), name, isNot, test: kind, search: word }),
);
const several = (trees: fc.Arbitrary<Tree>) => fc.array(trees, { minLength: 2, maxLength: 4 });
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.record({ op: fc.constant('NOT' as const), term: tie('tree') }),
    fc.record({ op: fc.constant('AND' as const), terms: several(tie('tree')) }),
    fc.record({ op: fc.constant('OR' as const), terms: several(tie('tree')) }),
  ),
}));

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function print(each: Tree): string {
  switch (each.op) {
    case 'AND':
    case 'OR':
      return each.terms.map((term) => `(${print(term)})`).join(` ${each.op} `);
    case 'NOT':
      return `NOT (${print(each.term)})`;
    case 'order':
      return `${each.name} ${each.sign} ${each.bound}`;
    case 'equal': {
      const value = typeof each.value === 'number' ? each.value : quoted(each.value);
      return `${each.name} ${each.isNot ? '<>' : '='} ${value}`;
    }
    case 'null':
      return `${each.name} IS ${each.isNot ? 'NOT ' : ''}NULL`;
    default:
      return `${each.name} ${each.isNot ? 'NOT ' : ''}${printTest(each)}`;
  }
}

function printTest(each: Extract<Tree, { op: 'between' | 'in' | 'text' }>): string {
  if (each.op === 'between') return `BETWEEN ${each.low} AND ${each.high}`;
  if (each.op === 'in') return `IN (${each.list.map(quoted).join(', ')})`;
  return `${each.test} ${quoted(each.search)}`;
}

function numberIn(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new NoNumber();
  return Number(text);
}

const ORDER = {
  '>': (left: number, right: number) => left > right,
  '>=': (left: number, right: number) => left >= right,
  '<': (left: number, right: number) => left < right,
  '<=': (left: number, right: number) => left <= right,
};
const TESTS = {
  CONTAINS: (text: string, search: string) => text.includes(search),
  STARTSWITH: (text: string, search: string) => text.startsWith(search),
  ENDSWITH: (text: string, search: string) => text.endsWith(search),
};

/** Three values; terms are looked at from left to right until one settles it. */
function truthOf(each: Tree, properties: Row): boolean | null {
  if (each.op === 'AND' || each.op === 'OR') {
    let result: boolean | null = each.op === 'AND';
    for (const term of each.terms) {
      const value = truthOf(term, properties);
      if (value === (each.op === 'OR')) return value;
      if (value === null) result = null;
    }
    return result;
  }
  if (each.op === 'NOT') {
    const value = truthOf(each.term, properties);
    return value === null ? null : !value;
  }
  return leafTruth(each, properties[each.name]);
}

function leafTruth(each: Leaf, value: string | undefined): boolean | null {
  if (each.op === 'null') return (value === undefined) !== each.isNot;
  if (each.op === 'text') {
    if (value === undefined || each.search === '') return false;
    return TESTS[each.test](value, each.search) !== each.isNot;
  }
  if (value === undefined) return null;
  if (each.op === 'in') return each.list.includes(value) !== each.isNot;
  if (each.op === 'order') return ORDER[each.sign](numberIn(value), each.bound);
  if (each.op === 'between') {
    const number = numberIn(value);
    return (number >= each.low && number <= each.high) !== each.isNot;
  }
  const isSame =
    typeof each.value === 'number' ? numberIn(value) === each.value : value === each.value;
  return isSame !== each.isNot;
}

function passes(each: Tree, properties: Row): boolean {
  try {
    return truthOf(each, properties) === true;
  } catch (reason) {
    if (reason instanceof NoNumber) return false;
    throw reason;
  }
}

describe('SQL92 filters', () => {
  test('decide as a walk over the tree does', () => {
    fc.assert(
      fc.property(tree, fc.array(row, { minLength: 1, maxLength: 5 }), (each, rows) => {
        const filter = compileFilter(print(each));
        for (const properties of rows) {
          const bytes = Buffer.from(formatMessageProperties(Object.entries(properties)));
          expect(filter.matchesBytes(bytes, 0, bytes.length)).toBe(passes(each, properties));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test('any text is compiled or refused, in bounded time', () => {
    const pieces = fc.constantFrom(
      ...'( ) , = <> < <= a b 1 1.5 \' " -- /* */ NOT AND IS NULL IN'.split(' '),
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 60 }), (parts) => {
        try {
          expect(compileFilter(parts.join(' ')).work).toBeGreaterThan(0);
        } catch (reason) {
          expect(reason).toMatchObject({ code: 'USAGE' });
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
