// The judge as a process of its own: reads the histories of a folder and prints one JSON verdict.
//   node check-program.ts UNKNOWN_SINCE_MS|- HISTORY [HISTORY ...]
import { judge } from './checker.ts';
import { readHistory } from './history.ts';

const [since = '-', ...files] = process.argv.slice(2);
const unknownSinceMs = since === '-' ? Number.POSITIVE_INFINITY : Number(since);
const verdict = judge(
  files.flatMap((file) => readHistory(file)),
  unknownSinceMs,
);
process.stdout.write(`${JSON.stringify(verdict)}\n`);
