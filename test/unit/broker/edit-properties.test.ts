// A .properties file changed in place: what the operator wrote around a value stays byte for byte.
import { describe, expect, test } from 'vitest';
import { editProperties, parseProperties } from '../../../core-broker/base/index.ts';

const edit = (text: string, changes: Record<string, string>) =>
  editProperties(text, new Map(Object.entries(changes)));

describe('an edited properties file', () => {
  test('keeps comments, order, blank lines and other keys', () => {
    const text = '# first\r\na = 1\r\n\r\n! b\nb:2\n  c 3\n';
    expect(edit(text, { b: '9' })).toBe('# first\r\na = 1\r\n\r\n! b\nb=9\n  c 3\n');
    expect(edit(text, {})).toBe(text);
  });

  test('changes a key wherever it stands, also over several lines', () => {
    expect(edit('a=1\\\n  2\nb=x\na=3\n', { a: 'z' })).toBe('a=z\nb=x\na=z\n');
  });

  test('takes a new key at the end, also after a last line without an end', () => {
    expect(edit('a=1', { b: '2' })).toBe('a=1\nb=2\n');
    expect(edit('', { b: '2' })).toBe('b=2\n');
  });

  test('writes values that are read back as they were', () => {
    for (const value of ['', 'a b', 'C:\\store\\x', 'a=b:c#d!e', 'münchen', '東京']) {
      expect(parseProperties(edit('k=old\n', { k: value })).get('k')?.value).toBe(value);
    }
  });
});
