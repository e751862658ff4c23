// Runs `./dr` as an operator would: the wrapper script, a working folder, an exit status.
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { ROOT } from './source-tree.ts';

export const DR = path.join(ROOT, 'dr');

export interface DrRun {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs one command to its end. @param words without the leading `dr` */
export function runDr(words: string[], cwd: string = ROOT): Promise<DrRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(DR, words, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString();
    });
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ status: code ?? 1, stdout, stderr }));
  });
}

/** As runDr, with the JSON answer. Fails the test with both outputs when the status is another one. */
export async function drJson<T>(words: string[], cwd: string, accepted = [0]): Promise<T> {
  const run = await runDr([...words, '-o', 'json'], cwd);
  if (accepted.includes(run.status)) return JSON.parse(run.stdout) as T;
  throw new Error(`dr ${words.join(' ')} ended with ${run.status}\n${run.stdout}\n${run.stderr}`);
}
