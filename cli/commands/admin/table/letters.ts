// The options that several admin commands share, with mqadmin's letters and long names, and the shape of
// a row of the admin table. Where mqadmin gives -o another meaning, `-o json` still asks for JSON:
// cli/dr.ts reads those two words as --output json.
import type { CommandRow, OptionRow } from '../../../command.ts';
import type { AdminAction } from '../call.ts';

export const opt = (flags: string, description: string): OptionRow => ({ flags, description });
export const must = (flags: string, description: string): OptionRow => ({
  flags,
  description,
  required: true,
});
export const flag = (flags: string, description: string): OptionRow => ({ flags, description });

export const broker = opt('-b, --brokerAddr <address>', 'one broker, HOST:PORT');
export const cluster = opt('-c, --clusterName <name>', 'every master of this cluster');
export const topic = must('-t, --topic <topic>', 'topic');
export const anyTopic = opt('-t, --topic <topic>', 'topic');
export const group = must('-g, --groupName <group>', 'consumer group');

const nameservers: OptionRow = {
  flags: '-n, --namesrvAddr <list>',
  description: 'name servers, HOST:PORT divided by ;',
  env: 'NAMESRV_ADDR',
};
const timeout: OptionRow = {
  flags: '--timeout <ms>',
  description: 'longest wait for one answer, ms',
  default: 5_000,
  number: true,
};

export interface AdminRow {
  name: string;
  about: string;
  options?: OptionRow[];
  /** Behind `dr admin NAME`. */
  example: string;
  load: () => Promise<AdminAction>;
}

/** A row of the command table of `dr`. */
export function adminRow(row: AdminRow): CommandRow {
  const options = row.options ?? [];
  const isLetterFree = !options.some((option) => option.flags.startsWith('-o,'));
  const output: OptionRow = {
    flags: isLetterFree ? '-o, --output <format>' : '--output <format>',
    description: isLetterFree ? 'table or json' : 'table or json; -o json works too',
    default: 'table',
    choices: ['table', 'json'],
  };
  return {
    name: `admin ${row.name}`,
    description: row.about,
    example: `dr admin ${row.name} ${row.example}`.trim(),
    options: [nameservers, ...options, timeout, output],
    load: async () => {
      const [{ adminCommand }, action] = await Promise.all([import('../call.ts'), row.load()]);
      return adminCommand(action);
    },
  };
}
