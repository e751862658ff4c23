// Crashes for real: a child process appends and is killed with SIGKILL at a random moment; everything it
// reported as acknowledged must be there, in place, after the next open. And torn tails at every byte.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore, type StoreOptions } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

let root = '';
beforeEach(() => {
  root = tempFolder();
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const APPENDER = path.join(import.meta.dirname, '../support/store-appender.ts');

/** Runs the appender until `acks` lines came, then kills it. @returns all whole lines */
async function appendAndKill(flush: string, firstSerial: number, acks: number): Promise<string[]> {
  const child = spawn(process.execPath, [APPENDER, root, flush, String(firstSerial)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let isKilled = false;
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (isKilled || text.split('\n').length <= acks) return;
    isKilled = true;
    child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  expect(child.signalCode).toBe('SIGKILL');
  return text.slice(0, text.lastIndexOf('\n')).split('\n');
}

async function checkAcks(lines: string[], options: StoreOptions): Promise<number> {
  const store = await openStore(options);
  let last = -1;
  for (const line of lines) {
    const [queueId = 0, queueOffset = 0, offset = 0, size = 0, serial = 0] = line
      .split(' ')
      .map(Number);
    const bytes = store.readRecord(offset);
    expect(bytes.length).toBe(size);
    expect(bytes.readInt32BE(12)).toBe(queueId);
    expect(Number(bytes.readBigInt64BE(20))).toBe(queueOffset);
    expect(bytes.readUInt32BE(88)).toBe(serial);
    last = serial;
  }
  const limit = { messagesMax: 1_000_000, bytesMax: 1e9, tagCodes: undefined };
  for (const queue of store.queues()) {
    let next: number = queue.min;
    while (next < queue.max) {
      const pulled = store.pull(queue, next, limit);
      expect(pulled.status).toBe('FOUND');
      for (const chunk of pulled.chunks) {
        for (let at = 0; at < chunk.length; at += chunk.readInt32BE(at)) {
          expect(Number(chunk.readBigInt64BE(at + 20))).toBe(next++);
        }
      }
    }
  }
  await store.close();
  return last;
}

describe('kill -9', () => {
  test.each(['SYNC_FLUSH', 'ASYNC_FLUSH'])(
    'keeps every acknowledged record of %s, round after round on one store',
    async (flush) => {
      const all: string[] = [];
      const options = smallStoreOptions(root);
      for (let round = 0; round < 6; round++) {
        const acks = 20 + Math.floor(Math.random() * 600);
        all.push(...(await appendAndKill(flush, all.length * 1000, acks)));
        expect(fs.existsSync(path.join(root, 'abort'))).toBe(true);
        await checkAcks(all, options);
        // Every second boot meets a clean end, every other one a crash.
        if (round % 2 === 0) fs.writeFileSync(path.join(root, 'abort'), '');
      }
    },
  );

  test('a store in use is refused to a second process and free again after SIGKILL', async () => {
    const child = spawn(process.execPath, [APPENDER, root, 'SYNC_FLUSH', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const options = smallStoreOptions(root);
    await expect(openStore(options)).rejects.toMatchObject({ code: 'LOCKED' });
    child.kill('SIGKILL');
    child.stdout.resume();
    await new Promise((resolve) => child.on('close', resolve));
    const store = await openStore(options);
    await expect(openStore(options)).rejects.toMatchObject({ code: 'LOCKED' });
    await store.close();
  });
});

describe('a torn tail', () => {
  test('cut at every byte of the last two records keeps every record before it', async () => {
    const store = await openStore(smallStoreOptions(root));
    const ends: number[] = [];
    for (let i = 0; i < 5; i++) {
      const body = Buffer.alloc(10, i);
      const source = recordSource(store, { topic: 't', body, properties: { TAGS: 'a' } });
      const { physicalOffset, sizeBytes } = store.append(source);
      ends.push(physicalOffset + sizeBytes);
    }
    await store.flush();
    await store.close();
    const log = path.join(root, 'commitlog', '00000000000000000000');
    const whole = fs.readFileSync(log);
    const [, , before = 0, middle = 0, end = 0] = ends;
    for (let cut = before; cut < end; cut++) {
      const torn = Buffer.from(whole);
      torn.fill(0, cut);
      fs.writeFileSync(log, torn);
      fs.writeFileSync(path.join(root, 'abort'), '');
      const kept = cut >= middle ? 4 : 3;
      const again = await openStore(smallStoreOptions(root));
      expect(again.storeBounds().maxOffset).toBe(ends[kept - 1]);
      expect(again.bounds({ topic: 't', queueId: 0 })).toEqual({ min: 0, max: kept });
      expect(again.append(recordSource(again, { topic: 't' })).queueOffset).toBe(kept);
      await again.close();
    }
  });
});
