// What commands print: answers on stdout (table or JSON), progress and errors on stderr.
import Table from 'cli-table3';
import { DrError, readEnv } from '../core-broker/base/index.ts';
import type { CommandInput } from './command.ts';

export type OutputFormat = 'table' | 'json';

/** The form that `-o` asks for. */
export const formatOf = (input: CommandInput): OutputFormat =>
  input.options['output'] === 'json' ? 'json' : 'table';

/** One answer in both forms: `json` is the documented value, `rows` what a person reads. */
export interface Answer {
  json: unknown;
  head?: string[];
  rows?: (string | number)[][];
  text?: string;
}

/** Prints an answer on stdout. */
export function printAnswer(format: OutputFormat, answer: Answer): void {
  if (format === 'json') {
    process.stdout.write(`${JSON.stringify(answer.json, null, 2)}\n`);
    return;
  }
  if (answer.text !== undefined) process.stdout.write(`${answer.text}\n`);
  if (answer.rows) process.stdout.write(`${renderTable(answer.head ?? [], answer.rows)}\n`);
}

/** A plain table without colours, so that it pastes well into a ticket. */
export function renderTable(head: string[], rows: (string | number)[][]): string {
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(...rows.map((row) => row.map(String)));
  return table.toString();
}

/** One line of progress on stderr. */
export function printProgress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Prints an error for a person, or as JSON when the answer was asked for as JSON. */
export function printFailure(format: OutputFormat, reason: unknown): DrError {
  const failure = DrError.from(reason);
  if (format === 'json') {
    const { code, message, hint, context, retry } = failure;
    process.stdout.write(`${JSON.stringify({ error: { code, message, hint, context, retry } })}\n`);
    return failure;
  }
  process.stderr.write(`dr: ${failure.message}\n`);
  if (failure.hint) process.stderr.write(`    ${failure.hint}\n`);
  if (failure.code === 'UNEXPECTED' && readEnv('DR_LOG_LEVEL') === 'debug') {
    process.stderr.write(`${failure.stack ?? ''}\n`);
  }
  return failure;
}
