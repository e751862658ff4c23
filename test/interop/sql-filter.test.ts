// Our SQL92 filter against Apache's own: the table of points and generated cases go through the filter of
// the stock 5.5.0 server in one JVM, without a broker, and must be decided alike, one by one.
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatMessageProperties } from '../../core-broker/protocol/index.ts';
import { type SqlCase, SqlCases } from '../support/sql-cases.ts';
import { SQL_TABLE, type SqlVerdict, verdictOf } from '../support/sql-table.ts';
import { ensurePeers, jarsOf } from './peers/install.ts';

const ORACLE = path.join(import.meta.dirname, 'clients/java/SqlOracle.java');
const GENERATED = 40_000;
const VERDICTS: Record<string, SqlVerdict> = { E: 'refused', T: 'passes', F: 'does not' };

beforeAll(() => ensurePeers('server-5.5.0'));

function askApache(cases: readonly SqlCase[]): SqlVerdict[] {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const lines = cases.map(
    ({ expression, properties }) =>
      `${base64(expression)} ${base64(formatMessageProperties(Object.entries(properties)))}\n`,
  );
  const jvm = ['-Xmx256m', '-XX:+UseSerialGC', '-cp', jarsOf('server-5.5.0'), ORACLE];
  const run = spawnSync('java', jvm, { input: lines.join(''), maxBuffer: 64 * 1024 * 1024 });
  const answers = run.stdout.toString().trim().split('\n');
  expect(answers, run.stderr.toString().slice(0, 2_000)).toHaveLength(cases.length);
  return answers.map((letter) => VERDICTS[letter] ?? 'refused');
}

describe('SQL92 filters of a stock 5.5.0 server and ours', () => {
  test('decide the table of points alike', () => {
    const theirs = askApache(SQL_TABLE);
    const told = SQL_TABLE.map((row, i) => ({ ...row, verdict: theirs[i] }));
    expect(told).toEqual(SQL_TABLE);
  });

  test('decide generated expressions alike', () => {
    const seed = Number(process.env['SQL_SEED'] ?? Date.now() % 1_000_000);
    const made = new SqlCases(seed);
    const cases = Array.from({ length: GENERATED }, () => made.next());
    const theirs = askApache(cases);
    const differing = cases
      .map((each, i) => ({ seed, ...each, ours: verdictOf(each), theirs: theirs[i] }))
      .filter(({ ours, theirs: other }) => ours !== other);
    expect(differing).toEqual([]);
    expect(new Set(theirs).size).toBe(3);
  });
});
