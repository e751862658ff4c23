// Who holds a store: read from the kernel's table, where a file is a disk and an inode.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockHolder } from '../../../core-broker/store/boot/store-lock.ts';
import { openStore, storeHolder, storeLayout } from '../../../core-broker/store/index.ts';
import { smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const DISK = 0xfe00n;
const TABLE = [
  '1: POSIX  ADVISORY  WRITE 4711 fe:00:9977971 0 0',
  '2: FLOCK  ADVISORY  WRITE 99 fe:00:1234 0 EOF',
  '3: POSIX  ADVISORY  READ 12 fe:00:555 0 0',
  '4: POSIX  ADVISORY  WRITE 77 103:2a:600 0 0',
  '5: -> POSIX  ADVISORY  WRITE 88 fe:00:700 0 0',
].join('\n');
const nobody = () => false;
const everybody = () => true;
const holder = (dev: bigint, ino: bigint, hasOpen: () => boolean) =>
  lockHolder(TABLE, { dev, ino }, hasOpen);

describe('the table of locks', () => {
  test('names the holder of a write lock by disk and inode', () => {
    expect(holder(DISK, 9977971n, nobody)).toBe('4711');
    expect(holder(0x1032an, 600n, nobody)).toBe('77');
    expect(holder(DISK, 555n, everybody)).toBeUndefined();
    expect(holder(DISK, 1n, everybody)).toBeUndefined();
    expect(holder(DISK, 700n, everybody)).toBeUndefined();
  });

  test('a lock on the same inode of another disk is no lock on this file', () => {
    expect(holder(0xfd00n, 9977971n, nobody)).toBeUndefined();
  });

  test('where a file has a device of its own, the open files of the process decide', () => {
    expect(holder(0x2bn, 9977971n, everybody)).toBe('4711');
  });
});

describe('a process', () => {
  let root = '';
  beforeEach(() => {
    root = tempFolder();
  });
  afterEach(() => fs.rmSync(root, { recursive: true }));

  /** A table that says `pid` has the file locked, on a disk that the file does not name. */
  const elsewhere = (pid: number, ino: bigint) =>
    `1: POSIX  ADVISORY  WRITE ${pid} ff:ff:${ino} 0 0`;

  test('that has the file open holds it, one that has not does not, one that is gone may', async () => {
    const file = `${root}/lock`;
    fs.writeFileSync(file, '');
    const place = fs.statSync(file, { bigint: true });
    const fd = fs.openSync(file, 'r');
    expect(lockHolder(elsewhere(process.pid, place.ino), place)).toBe(String(process.pid));
    fs.closeSync(fd);
    expect(lockHolder(elsewhere(process.pid, place.ino), place)).toBeUndefined();
    const gone = spawn('true');
    await once(gone, 'exit');
    expect(lockHolder(elsewhere(gone.pid as number, place.ino), place)).toBe(String(gone.pid));
  });

  test('that has a store open is named', async () => {
    const store = await openStore(smallStoreOptions(root));
    expect(storeHolder(storeLayout(root))).toBe(String(process.pid));
    await store.close();
    expect(storeHolder(storeLayout(root))).toBeUndefined();
  });
});
