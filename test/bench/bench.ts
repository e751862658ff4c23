// `npm run bench -- NAME [--vs apache] [-o json] [--rounds N] [--quick]`: runs one bench against the shipped programs,
// judges its floors and says so: exit 0 all floors hold, 9 one is missed, 2 usage. Everything happens on
// 127.0.0.1 in a folder of its own under the system's temporary folder, removed at the end.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, machineFacts, reportJson, reportTable, verdictOf } from './report.ts';

const BENCHES: Record<string, { load: () => Promise<Bench>; about: string }> = {
  broker: {
    load: async () => (await import('./broker.ts')).brokerBench,
    about: 'sends against a null server on the same socket layer',
  },
  'broker --vs apache': {
    load: async () => (await import('./apache/versus.ts')).apacheBench,
    about: 'everything a client waits for, against a stock Apache 5.5.0 broker',
  },
  link: {
    load: async () => (await import('./link.ts')).linkBench,
    about: 'catching up 2 GiB against cp and a bare copy over a socket',
  },
  mixed: {
    load: async () => (await import('./mixed.ts')).mixedBench,
    about: 'sends beside twenty groups at the tail and one reading from disk, against sends alone',
  },
  idle: {
    load: async () => (await import('./idle.ts')).idleBench,
    about: 'memory and CPU with 50,000 queues and 10,000 connections',
  },
  timers: {
    load: async () => (await import('./timers.ts')).timersBench,
    about: 'how late timers come, alone and 100,000 at one instant beside plain sends',
  },
  backup: {
    load: async () => (await import('./backup.ts')).backupBench,
    about: 'snapshot against tar | zstd -1',
  },
  rebuild: {
    load: async () => (await import('./rebuild.ts')).rebuildBench,
    about: 'rebuild and verify of a store against a sequential read of its log',
  },
  switchover: {
    load: async () => (await import('./switchover.ts')).switchoverBench,
    about: 'write pause of planned switches, RTO of failover',
  },
};

const EXIT_USAGE = 2;
const EXIT_MISSED = 9;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', short: 'o', default: 'table' },
    rounds: { type: 'string' },
    vs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

function list(): void {
  for (const [name, { about }] of Object.entries(BENCHES))
    console.log(`${name.padEnd(20)}${about}`);
}

async function runBench(name: string, bench: Bench): Promise<number> {
  const folder = fs.mkdtempSync(
    path.join(os.tmpdir(), `dr-bench-${name.replaceAll(/[^a-z]+/g, '-')}-`),
  );
  const startedAt = new Date();
  const machine = machineFacts();
  const say = (line: string) => {
    const seconds = ((Date.now() - startedAt.getTime()) / 1000).toFixed(0).padStart(5);
    process.stderr.write(`${seconds} s  ${line}\n`);
  };
  // An interrupted run must leave nothing behind either; children end with their own handlers.
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => process.exit(130));
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  const result = await bench({ rounds, isQuick: values.quick, folder, say });
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  const facts = { bench: name, startedAt: startedAt.toISOString(), machine, seconds };
  const isJson = values.output === 'json';
  console.log(isJson ? JSON.stringify(reportJson(facts, result), null, 2) : reportTable(result));
  const missed = result.figures.filter((figure) => verdictOf(figure) === 'missed');
  for (const { name: figure } of missed) process.stderr.write(`missed: ${figure}\n`);
  return missed.length === 0 ? 0 : EXIT_MISSED;
}

const asked = [...positionals, ...(values.vs === undefined ? [] : ['--vs', values.vs])].join(' ');
const chosen = BENCHES[asked];
if (values.list) {
  list();
} else if (chosen === undefined) {
  process.stderr.write('usage: npm run bench -- NAME [-o json] [--rounds N] [--quick]\n');
  list();
  process.exitCode = EXIT_USAGE;
} else {
  process.exitCode = await runBench(asked, await chosen.load());
}
