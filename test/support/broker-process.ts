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
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { root, values } = JSON.parse(process.argv[2] ?? '{}');
  const broker = createBroker({ config: testConfig(root, values) });
  await broker.start();
  console.log(JSON.stringify({ address: broker.address }));
}
