// A real S3 server for tests: versitygw, built once by the interop recipes, started on a port of the OS.
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { freePort } from '../../../cli/demo/process.ts';
import { ensurePeers, versitygwProgram } from '../../interop/peers/install.ts';
import { until } from './until.ts';

export interface RunningGateway {
  endpoint: string;
  accessKeyFile: string;
  dataDir: string;
  newBucket(): Promise<string>;
  stop(): Promise<void>;
}

export async function startGateway(): Promise<RunningGateway> {
  await ensurePeers('versitygw');
  const binary = versitygwProgram();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-s3-'));
  const dataDir = path.join(folder, 'data');
  fs.mkdirSync(dataDir);
  const accessKeyFile = path.join(folder, 'key');
  fs.writeFileSync(accessKeyFile, 'ak1\nsk1secret\n');
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const global = ['--port', address, '--access', 'ak1', '--secret', 'sk1secret', '--quiet'];
  const args = [...global, '--health', '/health', 'posix', dataDir];
  const child: ChildProcess = spawn(binary, args, { stdio: 'ignore' });
  const endpoint = `http://${address}`;
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`versitygw ended with ${child.exitCode}`);
    const answer = await fetch(`${endpoint}/health`).catch(() => undefined);
    return answer?.ok === true;
  });
  let buckets = 0;
  return {
    endpoint,
    accessKeyFile,
    dataDir,
    async newBucket() {
      const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3');
      const credentials = { accessKeyId: 'ak1', secretAccessKey: 'sk1secret' };
      const client = new S3Client({
        endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials,
      });
      const Bucket = `bucket-${++buckets}`;
      await client.send(new CreateBucketCommand({ Bucket }));
      client.destroy();
      return Bucket;
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
