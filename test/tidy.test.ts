// Size and style rules that no linter checks: folder width, file headers, room names, leftovers.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { NODE_FLAGS } from '../cli/node-flags.ts';
import { PRODUCT_FOLDERS, ROOT, sourceFiles } from './support/source-tree.ts';

const product = sourceFiles();
const everything = sourceFiles([...PRODUCT_FOLDERS, 'test']);

describe('tidy', () => {
  test('a folder holds at most 12 files', () => {
    const widths = new Map<string, number>();
    for (const file of product) {
      const folder = path.posix.dirname(file.path);
      widths.set(folder, (widths.get(folder) ?? 0) + 1);
    }
    const wide = [...widths]
      .filter(([, count]) => count > 12)
      .map(([folder, n]) => `${folder}: ${n}`);
    expect(wide).toEqual([]);
  });

  test('every file opens with a comment that says what it owns', () => {
    const bare = product.filter((file) => !/^(#!.*\n)?\/\/ \S/.test(file.text)).map((f) => f.path);
    expect(bare).toEqual([]);
  });

  test('no file has more than 500 lines, no line more than 100 columns', () => {
    const broken = everything.flatMap((file) => {
      const lines = file.text.split('\n');
      const long = lines.findIndex(
        (line) => line.length > 100 && !/https?:|'[^']{60,}'/.test(line),
      );
      return [
        ...(lines.length > 501 ? [`${file.path}: ${lines.length} lines`] : []),
        ...(long >= 0 && product.includes(file) ? [`${file.path}:${long + 1}`] : []),
      ];
    });
    expect(broken).toEqual([]);
  });

  test('the shell script starts Node as every other place does', () => {
    const script = fs.readFileSync(path.join(ROOT, 'dr'), 'utf8');
    expect(script).toContain(`exec "$node" ${NODE_FLAGS.join(' ')} "$entry" "$@"`);
  });

  test('rooms and files are nouns of the domain, in kebab-case', () => {
    const bad = everything
      .map((file) => file.path)
      .filter((name) => /(^|\/)(utils?|common|helpers?|misc|manager|impl)(\.ts|\/)/.test(name));
    const notKebab = everything
      .map((file) => file.path)
      .filter((name) => !/^[a-z0-9.\-/]+$/.test(name));
    expect([...bad, ...notKebab]).toEqual([]);
  });

  test('nothing is left undone: no mark of open work without its issue, no test that is left out or runs alone', () => {
    const self = 'test/tidy.test.ts';
    const marks = /\bTODO(?! #\d)|\bFIXME\b|\b(?:it|test|describe)\.(?:skip|only|todo)\(/;
    const found = everything
      .filter((f) => f.path !== self && marks.test(f.text))
      .map((f) => f.path);
    expect(found).toEqual([]);
  });

  test('no test waits with the limit of the library, one second', () => {
    const found = everything
      .filter((f) => f.path.startsWith('test/') && !/patiently\.ts$|tidy\.test/.test(f.path))
      .filter((f) => /vi\.waitFor\(|vi\.waitUntil\((?![\s\S]{0,200}timeout:)/.test(f.text));
    expect(found.map((f) => f.path)).toEqual([]);
  });

  test('the lock file names no registry', () => {
    const lock = fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8');
    expect(lock).not.toContain('"resolved"');
  });

  test('no large file is committed', () => {
    const listed = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
    const large = listed
      .split('\0')
      .filter((name) => name !== '' && fs.existsSync(path.join(ROOT, name)))
      .filter((name) => fs.statSync(path.join(ROOT, name)).size > 1024 * 1024);
    expect(large).toEqual([]);
  });
});
