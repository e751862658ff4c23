// A real Redis for tests: Debian's redis-server on a port of the OS, with the settings jobs need.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { until } from './until.ts';

export interface RunningRedis {
  port: number;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<RunningRedis> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-redis-'));
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const settings = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const more = ['--maxmemory-policy', 'noeviction'];
  const child = spawn('redis-server', [...place, ...settings, ...more], { stdio: 'ignore' });
  let failure: Error | undefined;
  child.once('error', (reason) => {
    failure = new Error('redis-server is missing: apt install redis-server', { cause: reason });
  });
  await until(async () => {
    if (failure) throw failure;
    return await answers(port);
  });
  return {
    port,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString().startsWith('+PONG'));
    });
    socket.once('error', () => resolve(false));
  });
