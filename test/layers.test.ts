// The import rules of ARCHITECTURE.md: down only, never sideways between L4 rooms, one door per room.
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sourceFiles } from './support/source-tree.ts';

/** Room -> rooms it may import. A room not named here may not exist. */
const ALLOWED: Record<string, string[]> = {
  'core-broker/base': [],
  'core-broker/protocol': ['core-broker/base'],
  'core-broker/remoting': ['core-broker/base', 'core-broker/protocol'],
  'core-broker/kernel': [],
  'core-broker/store': ['core-broker/base', 'core-broker/protocol', 'core-broker/kernel'],
  'core-broker/client': ['core-broker/base', 'core-broker/protocol', 'core-broker/remoting'],
  'core-broker/nameserver': [
    'core-broker/base',
    'core-broker/protocol',
    'core-broker/remoting',
    'core-broker/client',
  ],
  'core-broker/broker': [
    'core-broker/base',
    'core-broker/protocol',
    'core-broker/remoting',
    'core-broker/store',
    'core-broker/client',
    'core-broker/kernel',
  ],
  replicator: [
    'core-broker/base',
    'core-broker/protocol',
    'core-broker/remoting',
    'core-broker/client',
  ],
  switchover: [
    'core-broker/base',
    'core-broker/protocol',
    'core-broker/remoting',
    'core-broker/client',
  ],
  backup: [
    'core-broker/base',
    'core-broker/protocol',
    'core-broker/remoting',
    'core-broker/client',
    'core-broker/store',
  ],
};

/**
 * Files a worker thread loads past the door: a thread compiles all it imports before its first task, and
 * behind the doors lies twenty times what it needs. They import nothing of the project themselves.
 */
const LEAVES = ['core-broker/base/errors.ts', 'core-broker/protocol/message/crc32.ts'];

const roomOf = (file: string): string => {
  const [first = '', second = ''] = file.split('/');
  return first === 'core-broker' ? `${first}/${second}` : first;
};

const product = sourceFiles();

describe('layers', () => {
  test('every room is known', () => {
    const rooms = new Set(product.map((file) => roomOf(file.path)));
    for (const room of rooms) expect([...Object.keys(ALLOWED), 'cli']).toContain(room);
  });

  test('imports go down only', () => {
    const broken = product.flatMap((file) => {
      const room = roomOf(file.path);
      if (room === 'cli') return [];
      return file.imports
        .filter((target) => target.endsWith('.ts') && roomOf(target) !== room)
        .filter((target) => !ALLOWED[room]?.includes(roomOf(target)))
        .map((target) => `${file.path} -> ${target}`);
    });
    expect(broken).toEqual([]);
  });

  test('other rooms are entered through their door only', () => {
    const broken = product.flatMap((file) =>
      file.imports
        .filter((target) => target.endsWith('.ts') && roomOf(target) !== roomOf(file.path))
        .filter((target) => target !== `${roomOf(target)}/index.ts`)
        .filter((target) => !(file.path.startsWith('backup/') && LEAVES.includes(target)))
        .map((target) => `${file.path} -> ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test('a backup’s worker thread loads no door of another room', () => {
    const files = new Map(product.map((file) => [file.path, file]));
    const loaded = new Set<string>();
    const load = (at: string): void => {
      if (loaded.has(at)) return;
      loaded.add(at);
      // A line that imports types alone is erased.
      const text = files.get(at)?.text.replace(/^import type .*$/gm, '') ?? '';
      for (const target of files.get(at)?.imports ?? []) {
        if (target.endsWith('.ts') && text.includes(`/${path.basename(target)}'`)) load(target);
      }
    };
    load('backup/segment/worker.ts');
    const foreign = [...loaded].filter((file) => !file.startsWith('backup/segment/'));
    expect(foreign.sort()).toEqual(['backup/log/record.ts', 'backup/log/resync.ts', ...LEAVES]);
  });

  test('the pure room does no I/O', () => {
    const banned = ['node:fs', 'node:net', 'node:child_process', 'node:timers/promises'];
    const broken = product
      .filter((file) => file.path.startsWith('core-broker/protocol/'))
      // Telling an address family from its text is no I/O, though node:net owns the function.
      .filter(
        (file) => !/^import \{ isIP(v[46])?(, isIP(v[46])?)* \} from 'node:net';$/m.test(file.text),
      )
      .filter((file) => file.imports.some((target) => banned.includes(target)))
      .map((file) => file.path);
    expect(broken).toEqual([]);
  });

  test('only base/env.ts reads the environment', () => {
    const broken = product
      .filter((file) => file.path !== 'core-broker/base/env.ts')
      .filter((file) => /process\.env\b/.test(file.text))
      .map((file) => file.path);
    expect(broken).toEqual([]);
  });
});
