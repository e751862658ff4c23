// What a command of `dr` is: a row of the command table and the action behind it.
import type { ENVIRONMENT } from '../core-broker/base/index.ts';

export interface CommandInput {
  options: Record<string, unknown>;
  args: string[];
}

/** Runs the command and returns the exit status. Errors are thrown as DrError. */
export type CommandAction = (input: CommandInput) => Promise<number>;

export interface OptionRow {
  flags: string;
  description: string;
  default?: string | number | boolean;
  choices?: string[];
  required?: boolean;
  number?: boolean;
  env?: keyof typeof ENVIRONMENT;
}

export interface CommandRow {
  name: string;
  args?: string;
  description: string;
  options?: OptionRow[];
  /** A whole command line, shown by --help. */
  example?: string;
  load: () => Promise<CommandAction>;
}

/** An option that takes text; undefined when it was not given. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;
