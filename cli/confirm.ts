// The question before a command that moves a region. On a terminal it asks; in a script --yes is needed,
// so that nothing is ever moved because a prompt went unseen.
import { createInterface } from 'node:readline/promises';
import { DrError } from '../core-broker/base/index.ts';
import type { CommandInput } from './command.ts';

/** Asks on a terminal; elsewhere --yes is required. @throws DrError USAGE, CANCELLED */
export async function confirm(input: CommandInput, question: string): Promise<void> {
  if (input.options['yes'] === true) return;
  if (!process.stdin.isTTY) {
    throw new DrError('USAGE', 'not a terminal: say --yes', { hint: 'add --yes' });
  }
  const asker = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asker.question(`${question} [y/N] `);
  asker.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new DrError('CANCELLED', 'not confirmed');
}
