// A broker in a process of its own, for tests that kill it. Run as a program it reads its options from
// the first argument and says in JSON lines what became of it: where it serves or why it does not, and how it stopped.
// Why lines and not the exit: Node can hang in its own end (nodejs/node issue 54918). What was said counts, and who
// has said the last thing is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type BrokerConfigValues, createBroker } from '../../core-broker/broker/index.ts';
import { testConfig } from './broker-fixture.ts';

export interface BrokerProcess {
  readonly address: string;
  readonly child: ChildProcess;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM: everything is on disk and no abort file is left. Rejects when it could not stop cleanly. */
  stop(): Promise<void>;
}

/** What the program says. */
type Word = { address: string } | { refused: string } | { stopped: true } | { failed: string };

/** Starts a broker over `root`; resolves when it serves. Rejects with the broker's own reason when it refuses to. */
export async function spawnBroker(
  root: string,
  values: Partial<BrokerConfigValues> = {},
): Promise<BrokerProcess> {
  const file = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [file, JSON.stringify({ root, values })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  // Behind its last line, which an exit is not.
  const silent = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const words = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const kill = () => {
    child.kill('SIGKILL');
    return gone;
  };
  const nextWord = async (): Promise<Word> => {
    const line = new Promise<string>((resolve) => words.once('line', resolve));
    const end = silent.then(() => JSON.stringify({ failed: `ended with ${child.exitCode}` }));
    return JSON.parse(await Promise.race([line, end]));
  };
  const first = await nextWord();
  if (!('address' in first)) {
    await kill();
    throw new Error(`broker process: ${JSON.stringify(first)}`);
  }
  return {
    address: first.address,
    child,
    kill,
    stop: async () => {
      const last = nextWord();
      child.kill('SIGTERM');
      const word = await last;
      await kill();
      if (!('stopped' in word)) throw new Error(`broker process: ${JSON.stringify(word)}`);
    },
  };
}

function say(word: Word): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { root, values } = JSON.parse(process.argv[2] ?? '{}');
  try {
    const broker = createBroker({ config: testConfig(root, values) });
    await broker.start();
    process.once('SIGTERM', () => {
      broker.stop().then(
        () => say({ stopped: true }),
        (reason: unknown) => say({ failed: String(reason) }),
      );
    });
    say({ address: broker.address });
  } catch (reason) {
    say({ refused: String(reason) });
  }
}
