// Planned switches under load, back and forth between two regions behind gateway and global name server,
// and a failover after kill -9. The witness is the client's Probe: one send open at a time, route polled
// each 50 ms; which region stored a write is read from the offset message id of its acknowledgement.
//   write pause = `before fence` of the controller seen on its output -> first write stored by the new side
//   RTO         = start of the failover command -> first write acknowledged by the new side
// Invariant: every run is reported; an operation that does not end with "done" fails the bench.
import { spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import {
  DR_ENTRY,
  demoProgram,
  type RunningProcess,
  startProcess,
  waitFor,
} from '../../cli/demo/process.ts';
import { httpGet, layOutRegions, type RegionName, type Regions } from '../../cli/demo/regions.ts';
import { NODE_FLAGS } from '../../cli/node-flags.ts';
import { Probe, type ProbeSample } from '../../core-broker/client/index.ts';
import { parseOffsetMsgId } from '../../core-broker/protocol/index.ts';
import type { BenchOptions, BenchResult } from './report.ts';

const PLANNED_RUNS = 20;
const FAILOVERS = 3;
const RATE = 1_000;
const PRODUCERS = 2;
const LANES = 4;
const TOPIC = 'BenchSwitch';
const ACCEPTED = { switchover: [0], failover: [0, 3] };

interface Stage {
  regions: Regions;
  active: RegionName;
  clients: RunningProcess[];
  probe: Probe;
  samples: ProbeSample[];
}

interface PlannedRun {
  to: RegionName;
  pauseMs: number;
  controllerPauseMs: number;
  /** Tries of the probe that ended without an acknowledgement. */
  failedTries: number;
  commandMs: number;
}

const otherOf = (name: RegionName): RegionName => (name === 'east' ? 'west' : 'east');

async function openStage(options: BenchOptions, name: string): Promise<Stage> {
  const regions = await layOutRegions({ folder: path.join(options.folder, name) });
  const clients: RunningProcess[] = [];
  const samples: ProbeSample[] = [];
  const probe = new Probe({
    nameservers: [regions.globalNameserver],
    topic: TOPIC,
    onSample: (sample) => samples.push(sample),
  });
  const stage: Stage = { regions, active: 'east', clients, probe, samples };
  try {
    await startStage(stage);
    return stage;
  } catch (reason) {
    // Nobody else knows what has been started so far.
    await closeStage(stage);
    throw reason;
  }
}

async function startStage({ regions, clients, probe, samples }: Stage): Promise<void> {
  await regions.startGlobal();
  await regions.startRegion('east');
  await waitFor('east to open', () => isReady(regions, 'east'), { timeoutMs: 60_000 });
  await regions.startRegion('west');
  await waitFor('west to be ready', () => isReady(regions, 'west'), { timeoutMs: 60_000 });
  for (let i = 0; i < PRODUCERS; i++) {
    const producer = `producer-${i}`;
    const file = path.join(regions.folder, `${producer}.history`);
    const words = ['produce', regions.globalNameserver, TOPIC, String(RATE), String(LANES), file];
    const args = [demoProgram('orders-program'), ...words];
    const logFile = path.join(regions.folder, 'logs', `${producer}.log`);
    clients.push(startProcess({ name: producer, args, logFile }));
  }
  probe.start();
  await waitFor('the probe to be served', () => samples.some(({ outcome }) => outcome === 'ok'));
}

async function closeStage({ regions, clients, probe }: Stage): Promise<void> {
  await probe.stop();
  await Promise.all(clients.map((each) => each.stop('SIGKILL')));
  await regions.stopAll('SIGKILL');
}

const isReady = async (regions: Regions, name: RegionName): Promise<boolean> =>
  (await httpGet(regions[name].http, '/health/ready'))?.status === 200;

interface Command {
  fencedAtMs: number;
  startedAtMs: number;
  endedAtMs: number;
  answer: Record<string, unknown>;
}

/** Runs one operation and notes when its controller was about to fence. */
async function operate(
  stage: Stage,
  verb: 'switchover' | 'failover',
  to: RegionName,
): Promise<Command> {
  const file = stage.regions[to].drYaml;
  const more = verb === 'switchover' ? '--yes' : '--accept-data-loss';
  const words = [DR_ENTRY, verb, '-c', file, '--to', to, more, '-o', 'json'];
  const startedAtMs = Date.now();
  const child = spawn(process.execPath, [...NODE_FLAGS, ...words]);
  let fencedAtMs = 0;
  const seen: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    seen.push(line);
    if (fencedAtMs === 0 && /^before\s+fence\b/.test(line)) fencedAtMs = Date.now();
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  const status = await new Promise<number>((resolve) =>
    child.once('close', (code) => resolve(code ?? -1)),
  );
  const text = Buffer.concat(output).toString();
  if (!ACCEPTED[verb].includes(status)) {
    throw new Error(`dr ${verb} --to ${to} ended with ${status}: ${seen.join('\n')}\n${text}`);
  }
  return { fencedAtMs, startedAtMs, endedAtMs: Date.now(), answer: JSON.parse(text) };
}

/** The first acknowledged write of the region that began after the given time, once it was seen. */
function firstWrite(stage: Stage, region: RegionName, sinceMs: number): Promise<ProbeSample> {
  const { broker } = stage.regions[region];
  const isIt = ({ outcome, endedAtMs, offsetMsgId }: ProbeSample): boolean => {
    if (outcome !== 'ok' || endedAtMs < sinceMs || !offsetMsgId) return false;
    const { host, port } = parseOffsetMsgId(offsetMsgId);
    return `${host}:${port}` === broker;
  };
  return waitFor('a write of the new region', () => stage.samples.find(isIt), {
    timeoutMs: 60_000,
  });
}

async function plannedRun(stage: Stage): Promise<PlannedRun> {
  const to = otherOf(stage.active);
  await waitFor('both sides to be ready', async () => {
    return (await isReady(stage.regions, 'east')) && (await isReady(stage.regions, 'west'));
  });
  const from = stage.samples.length;
  const done = await operate(stage, 'switchover', to);
  const first = await firstWrite(stage, to, done.fencedAtMs);
  stage.active = to;
  return {
    to,
    pauseMs: first.endedAtMs - done.fencedAtMs,
    controllerPauseMs: Number(done.answer['writePauseMs']),
    failedTries: stage.samples.slice(from).filter(({ outcome }) => outcome !== 'ok').length,
    commandMs: done.endedAtMs - done.startedAtMs,
  };
}

async function failover(stage: Stage): Promise<number> {
  const to = otherOf(stage.active);
  await stage.regions.processes.get(stage.active)?.stop('SIGKILL');
  const done = await operate(stage, 'failover', to);
  const first = await firstWrite(stage, to, done.startedAtMs);
  return first.endedAtMs - done.startedAtMs;
}

export async function switchoverBench(options: BenchOptions): Promise<BenchResult> {
  const count = options.rounds ?? (options.isQuick ? 2 : PLANNED_RUNS);
  const planned: PlannedRun[] = [];
  const rtoMs: number[] = [];
  for (let round = 1; round <= (options.isQuick ? 1 : FAILOVERS); round++) {
    const stage = await openStage(options, `regions-${round}`);
    try {
      while (round === 1 && planned.length < count) {
        const run = await plannedRun(stage);
        planned.push(run);
        options.say(`planned ${planned.length} of ${count}: to ${run.to}, ${run.pauseMs} ms`);
      }
      rtoMs.push(await failover(stage));
      options.say(`failover ${round}: ${rtoMs.at(-1)} ms`);
    } finally {
      await closeStage(stage);
    }
  }
  return {
    figures: [
      {
        name: 'write pause of a planned switch',
        unit: 'ms',
        values: planned.map(({ pauseMs }) => pauseMs),
        goal: { floor: 1_000, isLess: true },
        judged: 'p95',
      },
      {
        name: 'the same as the controller saw it (fence to promotion)',
        unit: 'ms',
        values: planned.map(({ controllerPauseMs }) => controllerPauseMs),
      },
      {
        name: 'RTO of failover',
        unit: 'ms',
        values: rtoMs,
        judged: 'max',
        goal: { floor: 5_000, isLess: true },
      },
      { name: 'switchover command', unit: 'ms', values: planned.map(({ commandMs }) => commandMs) },
    ],
    details: { producers: PRODUCERS, messagesPerSecondEach: RATE, planned },
  };
}
