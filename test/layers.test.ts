// The import rules of ARCHITECTURE.md: down only, never sideways between L4 rooms, one door per room.
import { describe, expect, test } from 'vitest';
import { sourceFiles } from './support/source-tree.ts';

/** Room -> rooms it may import. A room not named here may not exist. */
const ALLOWED: Record<string, string[]> = {
  'core-broker/base': [],
  'core-broker/protocol': ['core-broker/base'],
  'core-broker/remoting': ['core-broker/base', 'core-broker/protocol'],
  'core-broker/store': ['core-broker/base', 'core-broker/protocol'],
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
        .map((target) => `${file.path} -> ${target}`),
    );
    expect(broken).toEqual([]);
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
