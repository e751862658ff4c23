// Entry of the program `dr`: argv -> command table -> exit status.
// Commands are loaded when they run (the S3 client alone costs 100 ms of start-up).
// Answers go to stdout, progress and errors to stderr; the exit status tells scripts what happened.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { DrError, readEnv } from '../core-broker/base/index.ts';
import type { CommandRow } from './command.ts';
import { COMMANDS, GROUP_TEXT } from './command-table.ts';
import { EXIT, EXIT_TEXT, exitStatusOf } from './exit-status.ts';
import { type OutputFormat, printFailure } from './output.ts';

const program = new Command('dr')
  .description('Keeps RocketMQ messaging alive when a whole region dies.')
  .version(readVersion(), '-V, --version', 'print the version')
  .showHelpAfterError('(dr --help lists the commands, dr COMMAND --help the options)')
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText('after', () => `\nExit status:\n${exitStatusTable()}`);

for (const row of COMMANDS) addCommand(row);

process.exitCode = await run();

/** Parses and runs; every way out ends in one number. */
async function run(): Promise<number> {
  if (process.argv.length <= 2) {
    program.outputHelp({ error: true });
    return EXIT.USAGE;
  }
  try {
    await program.parseAsync(commandLine());
    return Number(process.exitCode ?? EXIT.DONE);
  } catch (reason) {
    if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.DONE : EXIT.USAGE;
    return exitStatusOf(printFailure(outputFormat(), reason));
  }
}

/**
 * The words as typed, but for two things mqadmin's users rely on: admin commands are found in any case,
 * and `-o json` asks for JSON also where `-o` has another meaning (an offset is never "json").
 */
function commandLine(): string[] {
  const [node = '', script = '', group = '', name = '', ...rest] = process.argv;
  if (group !== 'admin') return process.argv;
  const known = COMMANDS.map((row) => row.name.split(' ')[1] ?? '');
  const exact = known.find((word) => word.toLowerCase() === name.toLowerCase()) ?? name;
  const words = rest.map((word, at) =>
    word === '-o' && ['json', 'table'].includes(rest[at + 1] ?? '') ? '--output' : word,
  );
  return [node, script, group, exact, ...words].filter((word) => word !== '');
}

/** The format asked for, even when parsing failed later. */
function outputFormat(): OutputFormat {
  const at = process.argv.findIndex((word) => word === '-o' || word === '--output');
  const joined = process.argv.some((word) => word === '-ojson' || word === '--output=json');
  return joined || (at > 0 && process.argv[at + 1] === 'json') ? 'json' : 'table';
}

function addCommand(row: CommandRow): void {
  const words = row.name.split(' ');
  const last = words.pop() ?? '';
  const parent = words.reduce((at, word) => findOrAddGroup(at, word), program);
  const command = parent
    .command(row.args === undefined ? last : `${last} ${row.args}`)
    .description(row.description)
    .exitOverride();
  for (const option of row.options ?? []) {
    const made = new Option(option.flags, option.description);
    if (option.default !== undefined) made.default(option.default);
    if (option.choices) made.choices(option.choices);
    if (option.env && readEnv(option.env)) made.default(readEnv(option.env));
    if (option.number) made.argParser(parseNumber(option.flags));
    command.addOption(made);
  }
  if (row.example !== undefined) command.addHelpText('after', `\nExample:\n  ${row.example}`);
  command.action(async (...given: unknown[]) => {
    const options = command.opts();
    const args = given
      .slice(0, -2)
      .filter((arg) => arg !== undefined)
      .map(String);
    requireOptions(row, command);
    const action = await row.load();
    const status = await action({ options, args });
    process.exitCode = status;
  });
}

/** Checked here and not by commander, which would ask a subcommand for its parent's options too. */
function requireOptions(row: CommandRow, command: Command): void {
  for (const option of row.options ?? []) {
    const name = new Option(option.flags).attributeName();
    if (!option.required || command.getOptionValue(name) !== undefined) continue;
    throw new DrError('USAGE', `dr ${row.name}: option ${option.flags} is required`, {
      hint: `${option.description}; dr ${row.name} --help lists all options`,
    });
  }
}

function findOrAddGroup(parent: Command, word: string): Command {
  const known = parent.commands.find((command) => command.name() === word);
  if (known) return known;
  return parent
    .command(word)
    .description(GROUP_TEXT[word] ?? word)
    .exitOverride();
}

function parseNumber(flags: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
    throw new DrError('USAGE', `${flags}: a number of 0 or more expected, not '${text}'`);
  };
}

function exitStatusTable(): string {
  return Object.entries(EXIT_TEXT)
    .map(([status, text]) => `  ${status.padStart(3)}  ${text}`)
    .join('\n');
}

function readVersion(): string {
  for (const up of ['..', '../..']) {
    const file = path.join(import.meta.dirname, up, 'package.json');
    if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8')).version;
  }
  return 'unknown';
}
