// A foreign program as a child process: its output kept in a file, waited for by condition, stopped by
// its own id (SIGTERM, then SIGKILL). A program that ends before it is ready is an error with its output.
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface ChildOptions {
  command: string;
  args: string[];
  /** File that gets stdout and stderr. */
  logFile: string;
  cwd?: string;
  env?: Record<string, string>;
}

/** What still runs when this process ends, by a failure or by Ctrl-C, ends with it. */
const running = new Set<Child>();
process.on('exit', () => {
  for (const child of running) child.kill();
});

export class Child {
  readonly #process: ChildProcess;
  readonly #options: ChildOptions;
  readonly exited: Promise<number | null>;
  #hasExited = false;

  constructor(options: ChildOptions) {
    this.#options = options;
    const out = fs.openSync(options.logFile, 'a');
    this.#process = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', out, out],
    });
    fs.closeSync(out);
    running.add(this);
    this.exited = new Promise<number | null>((resolve) => {
      this.#process.once('error', (reason) => {
        fs.appendFileSync(options.logFile, `${reason.message}\n`);
        this.#hasExited = true;
        resolve(null);
      });
      this.#process.once('exit', (code) => {
        this.#hasExited = true;
        resolve(code);
      });
    }).finally(() => running.delete(this));
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  output(): string {
    return fs.readFileSync(this.#options.logFile, 'utf8');
  }

  /** Waits until `condition` holds; fails at once when the program ends before. */
  async ready(condition: () => boolean | Promise<boolean>, timeoutMs = 90_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await condition())) {
      const why = this.#hasExited ? 'ended before it was ready' : 'was not ready in time';
      if (this.#hasExited || Date.now() > deadline) {
        const name = [this.#options.command, ...this.#options.args.slice(-3)].join(' ');
        const tail = this.output().split('\n').slice(-30).join('\n');
        if (!this.#hasExited) this.kill();
        throw new Error(`${name} ${why}:\n${tail}`);
      }
      await delay(100);
    }
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#hasExited) this.#process.kill(name);
  }

  kill(): void {
    this.signal('SIGKILL');
  }

  /** SIGTERM, then SIGKILL after `graceMs`. @returns the exit code, null when it was killed */
  async stop(graceMs = 30_000): Promise<number | null> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.kill(), graceMs);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }
}
