// A broker in a process of its own, for tests that kill it. Run as a program it reads its options from
// the first argument and prints one JSON line when it serves.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BrokerConfigValues, createBroker } from '../../core-broker/broker/index.ts';
import { testConfig } from './broker-fixture.ts';

export interface BrokerProcess {
  readonly address: string;
  readonly child: ChildProcess;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM: everything is on disk and no abort file is left. Rejects when it did not end with 0. */
  stop(): Promise<void>;
}

/** Starts a broker over `root`; resolves when it serves. */
export async function spawnBroker(
  root: string,
  values: Partial<BrokerConfigValues> = {},
): Promise<BrokerProcess> {
  const file = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [file, JSON.stringify({ root, values })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const address = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`broker process ended with ${code}`)));
    child.stdout?.once('data', (line) => resolve(JSON.parse(String(line)).address));
  });
  return {
    address,
    child,
    kill: () => {
      child.kill('SIGKILL');
      return gone;
    },
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
      if (child.exitCode !== 0) throw new Error(`broker process ended with ${child.exitCode}`);
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { root, values } = JSON.parse(process.argv[2] ?? '{}');
  const broker = createBroker({ config: testConfig(root, values) });
  await broker.start();
  process.once('SIGTERM', () => {
    broker.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
  console.log(JSON.stringify({ address: broker.address }));
}
