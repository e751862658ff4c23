// Documentation names only things that exist: files, commands and their options, npm scripts, and the
// configuration table made from the schema. A renamed command breaks this test, not an operator.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../cli/command-table.ts';
import { brokerTable, gatewayTable, nameserverTable } from '../cli/config/properties-reference.ts';
import { configTable } from '../cli/config/reference.ts';
import { EXIT_TEXT } from '../cli/exit-status.ts';
import { renderMetrics } from '../core-broker/base/index.ts';
import '../core-broker/broker/index.ts';
import { mermaid } from '../switchover/index.ts';
import { ROOT } from './support/source-tree.ts';

const read = (name: string): string => fs.readFileSync(path.join(ROOT, name), 'utf8');
const tracked = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' });
const pages = [...new Set([...tracked.trim().split('\n'), 'README.md'])]
  .filter((name) => fs.existsSync(path.join(ROOT, name)))
  .map((name) => ({ name, text: read(name) }));
const scripts = Object.keys(JSON.parse(read('package.json')).scripts);

/** Words of every `dr ...` command line in a page. */
function commandLines(text: string): string[][] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, body = '']) =>
    body.split('\n'),
  );
  const inline = [...text.matchAll(/`(\.?\/?dr [^`]+)`/g)].map(([, body = '']) => body);
  return [...blocks, ...inline]
    .map((line) => line.replace(/\s#.*$/, '').trim())
    .filter((line) => /^(\.\/)?dr( |$)/.test(line))
    .map((line) => line.split(/\s+/).slice(1));
}

function rowOf(words: string[]) {
  const named = words.filter((word) => !word.startsWith('-'));
  return COMMANDS.filter((row) => row.name.split(' ').every((part, at) => named[at] === part)).sort(
    (a, b) => b.name.length - a.name.length,
  )[0];
}

describe('documentation', () => {
  test.each(pages)('$name names commands and options that exist', ({ text }) => {
    const wrong = commandLines(text).flatMap((words) => {
      if (words.every((word) => word.startsWith('-'))) return [];
      const row = rowOf(words);
      if (!row) return [`dr ${words.join(' ')}`];
      const flags = (row.options ?? []).flatMap((option) => option.flags.split(/[ ,]+/));
      return words
        .filter((word) => word.startsWith('-') && word !== '--help')
        .map((word) => word.split('=')[0] ?? '')
        .filter((word) => !flags.includes(word))
        .map((word) => `dr ${words.join(' ')}: no option ${word}`);
    });
    expect(wrong).toEqual([]);
  });

  test.each(pages)('$name names npm scripts that exist', ({ text }) => {
    const named = [...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
  });

  test.each(pages)('$name links to files that exist', ({ name, text }) => {
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link);
    const paths = [
      ...text.matchAll(
        /`((?:test|docs|core-broker|replicator|switchover|backup|cli|tools)\/[\w./-]+)`/g,
      ),
    ].map(([, file = '']) => file);
    const missing = [
      ...links.map((link) => path.join(ROOT, path.dirname(name), link)),
      ...paths.map((file) => path.join(ROOT, file)),
    ].filter((file) => !fs.existsSync(file));
    expect(missing).toEqual([]);
  });

  test('ARCHITECTURE shows the decision table as the code has it', () => {
    expect(read('ARCHITECTURE.md')).toContain(mermaid().trim());
  });

  test('docs/configuration.md shows every key of dr.yaml as the schema has it', () => {
    expect(read('docs/configuration.md')).toContain(configTable());
  });

  test('docs/configuration.md shows every key of the .properties files as the tables have it', () => {
    const page = read('docs/configuration.md');
    for (const table of [brokerTable(), nameserverTable(), gatewayTable()]) {
      expect(page).toContain(table);
    }
  });

  test('docs/metrics.md names every metric of a broker, and none that does not exist', async () => {
    const page = new Set(read('docs/metrics.md').match(/dr_broker_[a-z_]+/g));
    const exposed = (await renderMetrics()).match(/(?<=^# TYPE )dr_broker_[a-z_]+/gm) ?? [];
    expect([...page].sort()).toEqual([...new Set(exposed)].sort());
  });

  test('every exit status is documented', () => {
    const page = read('docs/configuration.md');
    const missing = Object.entries(EXIT_TEXT).filter(
      ([status, text]) => !page.includes(`| ${status} | ${text} |`),
    );
    expect(missing).toEqual([]);
  });
});
