// SQL92 expressions: a table of points of Apache's grammar and types (the same table runs against a
// stock server in test/interop/sql-filter.test.ts), reasons of refusals, and the bounds of their cost.
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  compileFilter,
  FILTER_LIMITS,
  formatMessageProperties,
} from '../../../core-broker/protocol/index.ts';
import { SQL_TABLE, verdictOf } from '../../support/sql-table.ts';

const matches = (expression: string, properties: Record<string, string>): boolean => {
  const bytes = Buffer.from(formatMessageProperties(Object.entries(properties)));
  return compileFilter(expression).matchesBytes(bytes, 0, bytes.length);
};
const refusalOf = (expression: string): string => {
  try {
    compileFilter(expression);
  } catch (reason) {
    return DrError.from(reason).message;
  }
  return 'compiles';
};

describe('SQL92 expressions', () => {
  test.each(SQL_TABLE)('$expression over $properties: $verdict', (row) => {
    expect(verdictOf(row)).toBe(row.verdict);
  });

  test('a refusal names its reason and its place', () => {
    expect(refusalOf('a > ')).toContain('found the end');
    expect(refusalOf('a > ')).toContain('position 5');
    expect(refusalOf("a = 'x")).toContain('a string without its end');
    expect(refusalOf('a IN (1)')).toContain('position 7');
    expect(refusalOf('')).toContain('found the end');
  });

  test('properties are read as Java reads them: the last value wins, an empty one is none', () => {
    const read = (text: string, expression: string) => {
      const bytes = Buffer.from(`##${text}##`);
      return compileFilter(expression).matchesBytes(bytes, 2, bytes.length - 4);
    };
    expect(read('a\x011\x02a\x012\x02', 'a = 2')).toBe(true);
    expect(read('a\x01\x02', 'a IS NULL')).toBe(true);
    expect(read('a\x011', 'a = 1')).toBe(true);
    expect(read('ab\x011\x02b\x013\x02', 'b = 3 AND a IS NULL')).toBe(true);
    expect(read('', 'a IS NULL')).toBe(true);
  });
});

describe('the cost of an expression is bounded', () => {
  test('depth bombs are refused, whatever they are made of', () => {
    for (const bomb of ['(', 'NOT ', '- ', '+ ', 'NOT (', '-(']) {
      const depth = FILTER_LIMITS.textMax / bomb.length;
      const closed = bomb.includes('(') ? ')'.repeat(depth) : '';
      const text = `${bomb.repeat(depth - 10)}a${closed}`.slice(0, FILTER_LIMITS.textMax);
      expect(refusalOf(text), bomb).toContain('nested deeper');
    }
    const nested = `${'('.repeat(FILTER_LIMITS.depthMax)}a = 1${')'.repeat(FILTER_LIMITS.depthMax)}`;
    expect(matches(nested, { a: '1' })).toBe(true);
  });

  test('long chains are flat or refused, never a deep stack', () => {
    expect(refusalOf(`a${' = b'.repeat(10_000)}`)).toContain('results of others');
    expect(refusalOf(`a${' IS NULL'.repeat(8_000)}`)).toContain('results of others');
    const chain = (count: number) => Array.from({ length: count }, () => 'a=1').join(' OR ');
    expect(matches(chain(2_000), { a: '2' })).toBe(false);
    expect(refusalOf(chain(9_000))).toContain('operations');
  });

  test('BETWEEN inside BETWEEN counts its operand twice', () => {
    let text = 'a';
    for (let i = 0; i < 40; i++) text = `-(${text} BETWEEN 1 AND 2)`;
    expect(refusalOf(`${text} BETWEEN 1 AND 2`)).toContain('operations');
  });

  test('a list of a megabyte is refused, a list of 10,000 is one look-up', () => {
    const list = (count: number) => Array.from({ length: count }, (_, i) => `'${i}'`).join(',');
    expect(refusalOf(`a IN (${list(130_000)})`)).toContain('longer than');
    expect(compileFilter(`a IN (${list(7_000)})`).work).toBeLessThan(10);
    expect(matches(`a IN (${list(7_000)})`, { a: '6999' })).toBe(true);
  });

  test('long searches find what short ones find', () => {
    const needle = `${'a'.repeat(40)}b${'a'.repeat(40)}`;
    expect(matches(`p CONTAINS '${needle}'`, { p: `xa${needle}` })).toBe(true);
    expect(matches(`p CONTAINS '${needle}'`, { p: 'a'.repeat(30_000) })).toBe(false);
    expect(matches(`p NOT CONTAINS '${needle}'`, { p: 'a'.repeat(30_000) })).toBe(true);
  });
});
