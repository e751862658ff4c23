// `dr demo`: the main job on one machine in under a minute. Two regions in a temporary folder, a stream
// of orders, the mirror, a planned switch under load, a kill -9 of the whole active region and a
// failover back, a backup and a restore. Everything is a real process driven by the real commands.
// Counts are judged (exit 9), times are only shown. Leaves nothing behind unless --keep.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import type { CommandInput } from '../command.ts';
import { EXIT } from '../exit-status.ts';
import { NODE_FLAGS } from '../node-flags.ts';
import { formatOf } from '../output.ts';
import { type DemoFacts, printReport } from './demo-report.ts';
import { readHistory } from './history.ts';
import {
  DR_ENTRY,
  demoProgram,
  endedBefore,
  type RunningProcess,
  startProcess,
  waitFor,
} from './process.ts';
import { httpGet, layOutRegions, type RegionFiles, type Regions } from './regions.ts';

const TOPIC = 'ORDERS';
const PRELOAD_MIB = 64;
const run = promisify(execFile);

interface Story {
  regions: Regions;
  rate: number;
  startedAt: number;
  clients: RunningProcess[];
  facts: DemoFacts;
}

/** Action of `dr demo`. */
export async function runDemo(input: CommandInput): Promise<number> {
  const given = input.options['folder'];
  const folder =
    typeof given === 'string'
      ? path.resolve(given)
      : fs.mkdtempSync(path.join(os.tmpdir(), 'dr-demo-'));
  const regions = await layOutRegions({ folder });
  const story: Story = {
    regions,
    rate: Number(input.options['rate']),
    startedAt: performance.now(),
    clients: [],
    facts: { dueAfter: [] as string[] } as unknown as DemoFacts,
  };
  const isKept = input.options['keep'] === true;
  const cleanUp = () => killAll(story);
  process.once('exit', cleanUp);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(EXIT.INTERRUPTED));
  }
  try {
    await tell(story);
    const format = formatOf(input);
    const isProven = printReport(format, story.facts);
    if (isKept) await keep(story);
    return isProven ? EXIT.DONE : EXIT.VERIFY_FAILED;
  } finally {
    if (!isKept) {
      await stopAll(story);
      if (typeof given !== 'string') fs.rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** The story, in order. */
async function tell(story: Story): Promise<void> {
  await startEast(story);
  await mirrorToWest(story);
  await startClients(story);
  await storeDue(story, 'switch');
  await switchToWest(story);
  await findDue(story, 'switch');
  await storeDue(story, 'failover');
  await waitForCopy(story);
  await loseWest(story);
  await findDue(story, 'failover');
  await backUpAndRestore(story);
  await stopClientsAndJudge(story);
}

function say(story: Story, text: string): void {
  const seconds = ((performance.now() - story.startedAt) / 1000).toFixed(1).padStart(5);
  process.stderr.write(`${seconds} s  ${text}\n`);
}

async function startEast(story: Story): Promise<void> {
  const { regions } = story;
  say(story, `working in ${regions.folder}`);
  await regions.startGlobal();
  await regions.startRegion('east');
  await waitFor('east to open for writes', () => isReady(regions.east), watched(story));
  say(
    story,
    'east is up and active: name server, broker, behind a global name server and a gateway',
  );
}

async function mirrorToWest(story: Story): Promise<void> {
  const { regions, facts } = story;
  const loader = client(story, 'preload', [TOPIC_HISTORY, String(PRELOAD_MIB)]);
  await waitFor('the history to be loaded', () => loader.exit() !== undefined, {
    timeoutMs: 60_000,
  });
  if (loader.exit() !== 0) throw endedBefore(loader, 'the history was loaded');
  const end = (await statusOf(regions.east)).maxOffset;
  await regions.startRegion('west');
  const startedAt = performance.now();
  await waitFor('west to be level', async () => (await statusOf(regions.west)).maxOffset >= end, {
    ...watched(story),
    timeoutMs: 60_000,
  });
  facts.linkMBps = end / 1e6 / ((performance.now() - startedAt) / 1000);
  await waitFor('west to be ready', () => isReady(regions.west), watched(story));
  say(story, `west is up and mirrors: ${Math.round(end / 1e6)} MB copied byte for byte`);
}

const TOPIC_HISTORY = 'HISTORY';

async function startClients(story: Story): Promise<void> {
  client(story, 'consume', [TOPIC, 'orders', historyFile(story, 'consumer')]);
  client(story, 'produce', [TOPIC, String(story.rate), '4', historyFile(story, 'producer')]);
  await acknowledged(story, story.rate * 3);
  say(story, `orders flow: ${story.rate} per second, consumed as they come`);
}

/** A delayed message, a timer and an open transaction, to be due behind what comes next. */
async function storeDue(story: Story, name: string): Promise<void> {
  await dueProgram(story, 'begin', name);
  say(story, `a delayed message, a timer and an open transaction wait for the ${name}`);
}

async function findDue(story: Story, name: string): Promise<void> {
  await dueProgram(story, 'end', name);
  story.facts.dueAfter.push(name);
  say(story, `all three are delivered after the ${name}, the transaction committed there`);
}

async function dueProgram(story: Story, mode: string, name: string): Promise<void> {
  const { folder, globalNameserver } = story.regions;
  const running = startProcess({
    name: `due-${mode}-${name}`,
    args: [
      demoProgram('due-program'),
      mode,
      globalNameserver,
      TOPIC_DUE,
      name,
      path.join(folder, `due-${name}.json`),
    ],
    logFile: path.join(folder, 'logs', `due-${mode}-${name}.log`),
  });
  story.clients.push(running);
  await waitFor(`due-program ${mode} ${name}`, () => running.exit() !== undefined, {
    timeoutMs: 60_000,
  });
  if (running.exit() === 0) return;
  throw new DrError('UNEXPECTED', `due messages of the ${name}: see ${running.logFile}`);
}

const TOPIC_DUE = 'DUE';

/** What is to survive a dead region must have been copied. */
async function waitForCopy(story: Story): Promise<void> {
  const { east, west } = story.regions;
  const end = (await statusOf(west)).maxOffset;
  const isCopied = async () => (await statusOf(east)).maxOffset >= end;
  await waitFor('east to have the waiting messages', isCopied, watched(story));
}

async function switchToWest(story: Story): Promise<void> {
  const { regions, facts } = story;
  say(story, 'dr switchover --to west, under load');
  const answer = await dr(['switchover', '-c', regions.west.drYaml, '--to', 'west', '--yes']);
  facts.writePauseMs = Number(answer['writePauseMs'] ?? 0);
  await acknowledged(story, story.rate * 2);
  await waitFor('the link to run backwards', async () => {
    const { link } = await statusOf(regions.east);
    return link?.state === 'following' && link.lagMessages < story.rate;
  });
  say(story, 'west writes, no client was restarted, the link runs from west to east');
}

async function loseWest(story: Story): Promise<void> {
  const { regions, facts } = story;
  await regions.processes.get('west')?.stop('SIGKILL');
  say(story, 'kill -9 of west, the whole active region');
  const commandAtMs = Date.now();
  say(story, 'dr failover --accept-data-loss --to east');
  const verb = ['failover', '-c', regions.east.drYaml, '--to', 'east', '--accept-data-loss'];
  const answer = await dr(verb, [EXIT.DONE, EXIT.INCOMPLETE]);
  const statement = answer['statement'] as DemoFacts['statement'];
  facts.statement = statement;
  const first = await waitFor('the first order acknowledged by east', () =>
    readHistory(historyFile(story, 'producer')).find(
      (line) => line.phase === 'ok' && line.t > commandAtMs,
    ),
  );
  facts.rtoMs = first.t - commandAtMs;
  facts.rpoMs = Math.max(0, commandAtMs - (statement.unknownSinceMs ?? commandAtMs));
  await acknowledged(story, story.rate * 3);
  say(story, 'east writes again');
}

async function backUpAndRestore(story: Story): Promise<void> {
  const { regions, facts } = story;
  const { east } = regions;
  const backup = await dr(['backup', 'run', '-c', east.drYaml]);
  facts.backupMBps = Number(backup['bytesPerSecond'] ?? 0) / 1e6;
  say(story, `backup taken while orders flow: ${String(backup['id'])}`);
  const restored = path.join(regions.folder, 'restored');
  await dr(['restore', '-c', east.drYaml, '--into', restored]);
  await dr(['backup', 'verify', '-c', east.drYaml, '--depth', 'restored']);
  facts.isRestored = true;
  say(story, 'restored into an empty folder, every record scanned');
}

async function stopClientsAndJudge(story: Story): Promise<void> {
  const [consumer, producer] = ['consume', 'produce'].map((name) =>
    story.clients.find((each) => each.name === name),
  );
  await producer?.stop();
  const audit = client(story, 'audit', [TOPIC, historyFile(story, 'audit')]);
  await waitFor('the audit to end', () => audit.exit() !== undefined);
  if (audit.exit() !== 0) throw endedBefore(audit, 'everything was counted');
  const files = ['producer', 'consumer', 'audit'].map((name) => historyFile(story, name));
  const since = story.facts.statement.unknownSinceMs;
  const judgeNow = async () => {
    const program = [
      demoProgram('check-program'),
      since === undefined ? '-' : String(since),
      ...files,
    ];
    const { stdout } = await run(process.execPath, program, { maxBuffer: 64 * 1024 * 1024 });
    story.facts.verdict = JSON.parse(stdout) as DemoFacts['verdict'];
    return story.facts.verdict;
  };
  // Consumers may still be behind; what is never delivered shows up as undelivered in the verdict.
  const deadline = performance.now() + 10_000;
  while ((await judgeNow()).undelivered > 0 && performance.now() < deadline) await sleep(250);
  await consumer?.stop();
  await judgeNow();
}

/** Runs one `dr` command with JSON output. @throws DrError with the command's own words */
async function dr(
  words: string[],
  accepted: number[] = [EXIT.DONE],
): Promise<Record<string, unknown>> {
  const args = [...NODE_FLAGS, DR_ENTRY, ...words, '-o', 'json'];
  const done = await run(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 }).catch(
    (reason: { code?: number; stdout: string; stderr: string }) => reason,
  );
  const status = 'code' in done ? (done.code ?? 0) : 0;
  if (accepted.includes(status)) return JSON.parse(done.stdout) as Record<string, unknown>;
  const text = `${done.stdout}\n${done.stderr}`;
  throw new DrError('UNEXPECTED', `dr ${words.join(' ')} ended with ${status}: ${text}`);
}

function client(story: Story, mode: string, args: string[]): RunningProcess {
  const running = startProcess({
    name: mode,
    args: [demoProgram('orders-program'), mode, story.regions.globalNameserver, ...args],
    logFile: path.join(story.regions.folder, 'logs', `${mode}.log`),
  });
  story.clients.push(running);
  return running;
}

const historyFile = (story: Story, name: string): string =>
  path.join(story.regions.folder, `${name}.history`);

/** Waits until `more` further orders are acknowledged. */
async function acknowledged(story: Story, more: number): Promise<void> {
  const count = () =>
    readHistory(historyFile(story, 'producer')).filter((line) => line.phase === 'ok').length;
  const before = count();
  await waitFor('orders to be acknowledged', () => count() >= before + more, watched(story));
}

const watched = (story: Story) => ({
  watch: [...story.clients.filter((each) => !/^(preload|due-)/.test(each.name))],
  timeoutMs: 30_000,
});

interface NodeStatus {
  maxOffset: number;
  link: { state: string; lagMessages: number } | undefined;
}

async function statusOf(region: RegionFiles): Promise<NodeStatus> {
  const answer = await httpGet(region.http, '/status');
  const nothing = { maxOffset: 0, link: undefined };
  return answer?.status === 200 ? (JSON.parse(answer.body) as NodeStatus) : nothing;
}

const isReady = async (region: RegionFiles): Promise<boolean> =>
  (await httpGet(region.http, '/health/ready'))?.status === 200;

async function stopAll(story: Story): Promise<void> {
  await Promise.all(story.clients.map((each) => each.stop()));
  await story.regions.stopAll();
}

/** Last resort when the demo itself is interrupted: nothing may stay behind. */
function killAll(story: Story): void {
  for (const each of [...story.clients, ...story.regions.processes.values()]) {
    if (each.exit() === undefined) process.kill(each.pid, 'SIGKILL');
  }
}

async function keep(story: Story): Promise<void> {
  const { regions } = story;
  process.stdout.write(
    [
      '',
      `The regions stay up in ${regions.folder} until Ctrl-C. Try:`,
      `  ./dr status -c ${regions.east.drYaml}`,
      `  ./dr standby -c ${regions.west.drYaml}          # the dead region comes back, fenced`,
      `  ./dr failover -c ${regions.west.drYaml}         # what would be lost now?`,
      `  curl http://${regions.east.http}/metrics`,
      `  clients use the name server ${regions.globalNameserver}`,
      '',
    ].join('\n'),
  );
  await new Promise(() => setInterval(() => undefined, 60_000));
}
