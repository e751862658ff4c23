// mqadmin without a JVM per command: AdminLoop.java as a child, one command after the other.
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ensurePeers, jarsOf } from '../peers/install.ts';
import { SHORT_LIVED_JVM } from '../peers/jvm.ts';
import type { ServerVersion } from '../peers/rocketmq.ts';

const PROGRAM = path.join(import.meta.dirname, 'AdminLoop.java');
const COMMAND_MS = 60_000;

/** What still runs when this process ends, ends with it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class AdminLoop {
  readonly #child: ChildProcess;
  #pending = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  #hasEnded = false;
  /** What runs, or ran last: one command at a time. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (bytes: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, bytes]);
      this.#wake();
    });
    child.once('exit', () => {
      this.#hasEnded = true;
      this.#wake();
    });
  }

  static async start(version: ServerVersion, folder: string): Promise<AdminLoop> {
    await ensurePeers(`server-${version}`);
    const conf = path.join(folder, 'conf');
    fs.mkdirSync(conf, { recursive: true });
    const quiet = '<configuration></configuration>\n';
    fs.writeFileSync(path.join(conf, 'logback_tools.xml'), quiet);
    const args = [
      '-Xmx256m',
      ...SHORT_LIVED_JVM,
      `-Drocketmq.home.dir=${folder}`,
      `-Duser.home=${path.join(folder, 'home')}`,
      `-Drmq.logback.configurationFile=${path.join(conf, 'logback_tools.xml')}`,
      '-cp',
      jarsOf(`server-${version}`),
      PROGRAM,
    ];
    const child = spawn('java', args, { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] });
    const loop = new AdminLoop(child);
    running.add(child);
    child.once('exit', () => running.delete(child));
    for (;;) if ((await loop.#line()) === 'READY') return loop;
  }

  /** What one command printed; several at once are run one after the other. */
  run(command: string, args: string[]): Promise<string> {
    const ran = this.#last.then(() => this.#run(command, args));
    this.#last = ran.catch(() => undefined);
    return ran;
  }

  async #run(command: string, args: string[]): Promise<string> {
    this.#child.stdin?.write(`${[command, ...args].join('\t')}\n`);
    for (;;) {
      const line = await this.#line();
      const length = /^ANSWER (\d+)$/.exec(line)?.[1];
      if (length !== undefined) return (await this.#take(Number(length))).toString();
    }
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#pending.indexOf(10);
      if (end >= 0) return (await this.#take(end + 1)).toString().trimEnd();
      await this.#more();
    }
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#pending.length < length) await this.#more();
    const taken = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    return taken;
  }

  async #more(): Promise<void> {
    if (this.#hasEnded) throw new Error('mqadmin ended the process');
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#wake = resolve;
      timer = setTimeout(() => reject(new Error('mqadmin did not end')), COMMAND_MS);
    });
    clearTimeout(timer);
  }
}
