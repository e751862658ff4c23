// The contract suite over a real redis-server with the settings the control plane asks for, and a
// kill -9 of that server.
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openRedisControlStore } from '../../switchover/control-store/index.ts';
import { freePort } from '../support/dr-parts.ts';
import { controlStoreContract } from '../unit/switchover/control-store-contract.ts';
import { ensurePeers } from './peers/install.ts';

let dir: string;
let port: number;
let server: ChildProcess | undefined;
let serial = 0;

const url = () => `redis://127.0.0.1:${port}/0`;

async function startServer(): Promise<void> {
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
  server = spawn('redis-server', [...place, ...durable, '--maxmemory-policy', 'noeviction'], {
    stdio: 'ignore',
  });
  await vi.waitUntil(ping, { timeout: 60_000, interval: 20 });
}

async function ping(): Promise<boolean> {
  const client = new Redis(url(), { lazyConnect: true, retryStrategy: () => null });
  client.on('error', (reason: Error) => void reason);
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } catch (reason) {
    // Expected until the server listens.
    return !(reason instanceof Error);
  } finally {
    client.disconnect();
  }
}

/** Kills the server and waits until it is gone. */
async function killServer(): Promise<void> {
  const child = server;
  server = undefined;
  if (!child) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

beforeAll(async () => {
  await ensurePeers('redis');
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'control-redis-'));
  port = await freePort();
  await startServer();
});

afterAll(async () => {
  await killServer();
  if (dir) fs.rmSync(dir, { recursive: true, force: true });
});

controlStoreContract('redis', async () => {
  const prefix = `t${++serial}`;
  return {
    open: () => openRedisControlStore({ url: url(), prefix }),
    dispose: async () => undefined,
  };
});

test('answered writes survive a kill -9 of the server, and an open store finds it again', async () => {
  const store = await openRedisControlStore({ url: url(), prefix: 'kill' });
  const seen: unknown[] = [];
  const stop = await store.watch('k', (entry) => seen.push(entry.value));
  await store.compareAndSet('k', 0, 'before');
  await store.append('s', 'record');
  await killServer();
  await expect(store.read('k')).rejects.toMatchObject({ code: 'UNREACHABLE' });
  await startServer();
  await vi.waitUntil(
    () =>
      store.read('k').then(
        () => true,
        () => false,
      ),
    { timeout: 60_000 },
  );
  expect(await store.read('k')).toEqual({ version: 1, value: 'before' });
  expect((await store.readJournal('s')).map((entry) => entry.record)).toEqual(['record']);
  await store.compareAndSet('k', 1, 'after');
  await vi.waitUntil(() => seen.at(-1) === 'after', { timeout: 60_000 });
  await stop();
  await store.close();
});

test('a server that is not there is UNREACHABLE, not a hang', async () => {
  const nobody = `redis://127.0.0.1:${await freePort()}/0`;
  await expect(openRedisControlStore({ url: nobody, prefix: 'x' })).rejects.toMatchObject({
    code: 'UNREACHABLE',
  });
});
