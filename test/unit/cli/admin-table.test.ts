// The table of admin commands: every row is complete, letters are unique, and the small readers of
// addresses, times and permissions say what is wrong.
import { Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { nameserversOf } from '../../../cli/commands/admin/call.ts';
import { ADMIN_COMMANDS } from '../../../cli/commands/admin/table/index.ts';
import { resolveTime, timeText } from '../../../core-broker/client/index.ts';

describe('table of admin commands', () => {
  test.each(ADMIN_COMMANDS)(
    '$name has one meaning per letter and an example that uses it',
    (row) => {
      const options = (row.options ?? []).map((option) => new Option(option.flags));
      const shorts = options.map((option) => option.short).filter((short) => short !== undefined);
      expect(new Set(shorts).size).toBe(shorts.length);
      const names = options.map((option) => option.attributeName());
      expect(new Set(names).size).toBe(names.length);
      expect(names).toEqual(expect.arrayContaining(['namesrvAddr', 'timeout', 'output']));
      expect(row.example).toMatch(new RegExp(`^dr ${row.name}`));
      const used = [...(row.example ?? '').matchAll(/ (-[a-zA-Z])\b/g)].map(([, letter]) => letter);
      expect(shorts).toEqual(expect.arrayContaining(used));
      const needed = (row.options ?? []).filter((option) => option.required);
      for (const { flags } of needed) expect(used).toContain(new Option(flags).short);
    },
  );

  test('every action loads', async () => {
    for (const row of ADMIN_COMMANDS) expect(await row.load(), row.name).toBeTypeOf('function');
  });
});

describe('what operators type', () => {
  test('name servers are divided by semicolons or commas', () => {
    expect(nameserversOf('a:1;b:2, c:3')).toEqual(['a:1', 'b:2', 'c:3']);
    expect(nameserversOf(undefined)).toEqual([]);
    expect(() => nameserversOf('a:1;b')).toThrow(/'b' is not host:port/);
  });

  test('times are read in every form mqadmin takes', () => {
    expect(resolveTime('now', 5)).toBe(5);
    expect(resolveTime('currentTimeMillis', 6)).toBe(6);
    expect(resolveTime('-1', 5)).toBe(-1);
    expect(resolveTime('1700000000123', 5)).toBe(1_700_000_000_123);
    const local = new Date(2026, 0, 31, 8, 30, 1, 250).getTime();
    expect(resolveTime('2026-01-31#08:30:01:250', 5)).toBe(local);
    expect(resolveTime('2026-01-31T08:30:01Z', 5)).toBe(Date.UTC(2026, 0, 31, 8, 30, 1));
    expect(() => resolveTime('yesterday', 5)).toThrow(/not a time/);
    expect(timeText(local)).toBe('2026-01-31 08:30:01,250');
    expect(timeText(0)).toBe('');
  });
});
