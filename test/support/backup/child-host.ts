// A daemon as far as a backup process knows one: starts a run, says its process id, waits to be killed.
import { runInChild } from '../../../backup/index.ts';

const request = JSON.parse(process.argv[2] ?? '{}');
const onStart = (pid: number) => process.stdout.write(`${pid}\n`);
await runInChild({ ...request, onStart }, new AbortController().signal);
