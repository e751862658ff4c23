// Unmodified clients in processes of their own go through a planned switchover and, without having been
// touched or restarted, through a kill -9 of the whole active region and a failover. Three libraries stand
// behind the gateway with their defaults (Java asks for routes every 30 s), one Java pair moves by route
// alone. Counts are judged; times are printed. Read are only the clients' own histories and an audit.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import type { OperationResult } from '../../switchover/index.ts';
import { drJson, runDr } from '../support/dr-command.ts';
import { PATIENT_MS } from '../support/regions/stage.ts';
import { ensurePeers } from './peers/install.ts';
import {
  auditLog,
  judgePair,
  type PairVerdict,
  readTail,
  snapshot,
  unexplained,
} from './switchover-support/judgement.ts';
import {
  acknowledged,
  hasMoved,
  longestGap,
  type Pair,
  type PairPlan,
  type Span,
  startPair,
} from './switchover-support/pair.ts';
import { openSwitchStage, type SwitchStage } from './switchover-support/switch-stage.ts';

type Plan = Omit<PairPlan, 'namesrv' | 'folder'> & { isDirect?: boolean };
const PLANS: Plan[] = [
  { name: 'java', kind: 'java-5.5.0', consume: 'orderly', rate: 1_000, lanes: 4 },
  { name: 'go', kind: 'go', consume: 'orderly', rate: 300, lanes: 2 },
  { name: 'ali', kind: 'ali-ons', consume: 'consume', rate: 200, lanes: 2 },
  // By route alone a client moves as soon as it asks: this one asks every second.
  {
    name: 'route',
    kind: 'java-5.5.0',
    consume: 'consume',
    rate: 1_000,
    lanes: 4,
    isDirect: true,
    poll: 1_000,
  },
];
/** Shown before the switch; behind it until every pair has moved again. */
const MARGIN_MS = 1_000;

let site: SwitchStage;
let pairs: Pair[];
let pids: number[];

beforeAll(async () => {
  await ensurePeers('java-client-5.5.0', 'go-client', 'ali-ons');
  site = await openSwitchStage(PLANS.map(({ name }) => name));
  const { stage, direct, behindGateway } = site;
  pairs = await Promise.all(
    PLANS.map(({ isDirect, ...plan }) =>
      startPair(
        { ...plan, namesrv: isDirect ? direct : behindGateway, folder: stage.folder },
        ({ child }) => {
          stage.onClose(child, (each) => {
            each.kill();
            return each.exited;
          });
        },
      ),
    ),
  );
  pids = pairs.flatMap(({ producer, consumer }) => [producer.child.pid, consumer.child.pid]);
  await moved(0);
});
afterAll(() => site?.stage.close());

/** Waits until every pair has sent for two more seconds and consumed of that. */
async function moved(sinceMs: number): Promise<void> {
  for (const pair of pairs) {
    const watch = [pair.producer.child, pair.consumer.child];
    await waitFor(
      `${pair.plan.name} to send and consume`,
      () => {
        const dead = watch.find(({ hasExited }) => hasExited);
        if (dead) throw new Error(`a client of ${pair.plan.name} ended:\n${dead.output()}`);
        return hasMoved(pair, sinceMs, 2 * pair.plan.rate);
      },
      { timeoutMs: PATIENT_MS },
    );
  }
}

/** Exit 5 promises that nothing changed: on a machine that was too busy it is asked again. */
async function switchToWest(): Promise<OperationResult> {
  for (let attempt = 1; ; attempt++) {
    await site.stage.ready('east', 'west');
    const words = ['switchover', '-c', site.stage.files('west').drYaml, '--to', 'west', '--yes'];
    const run = await runDr([...words, '-o', 'json'], site.stage.folder);
    if (run.status === 0) return JSON.parse(run.stdout) as OperationResult;
    expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(5);
    expect(attempt, run.stderr).toBeLessThan(5);
  }
}

async function verdicts(
  nameserver: string,
  unknownSinceMs?: number,
): Promise<Map<Pair, PairVerdict>> {
  const judged = new Map<Pair, PairVerdict>();
  for (const pair of pairs) {
    const sends = snapshot(pair);
    const audit = await auditLog(nameserver, pair.topic);
    const told = { sends, audit, unknownSinceMs };
    const isDelivered = () => {
      const verdict = judgePair(pair, told);
      judged.set(pair, verdict);
      return verdict.undelivered === 0;
    };
    // A consumer that never gets there shows in the verdict.
    await waitFor(`${pair.plan.name} to consume`, isDelivered, { timeoutMs: 60_000 }).catch(
      (reason: Error) => process.stdout.write(`${reason.message}\n`),
    );
  }
  return judged;
}

function report(what: string, span: Span, judged: Map<Pair, PairVerdict>): void {
  const rows = [...judged].map(([pair, verdict]) => {
    const gaps = [acknowledged(pair.sends()), pair.deliveries()].map((lines) =>
      longestGap(lines, span),
    );
    return (
      `  ${pair.plan.name.padEnd(6)} acknowledged ${verdict.acknowledged}` +
      `, lost ${verdict.allLost.size}, unknown ${verdict.unknown}, failed ${verdict.failed}` +
      `, doubled ${verdict.doubled.length}, redelivered ${verdict.redelivered}` +
      `, undelivered ${verdict.undelivered}` +
      `, longest gap sending ${gaps[0]} ms, consuming ${gaps[1]} ms`
    );
  });
  process.stdout.write(`${[what, ...rows].join('\n')}\n`);
}

/** What holds after either switch. */
function expectOrderAndDelivery(pair: Pair, verdict: PairVerdict): void {
  const { name } = pair.plan;
  expect(verdict.logDisorder, `${name}: order in the log`).toEqual([]);
  expect(verdict.deliveryDisorder, `${name}: order of first deliveries`).toEqual([]);
  expect(verdict.undeliveredKeys, `${name}: undelivered`).toEqual([]);
}

function expectOnlyRetriesDouble(pair: Pair, verdict: PairVerdict): void {
  const { name, kind, lanes } = pair.plan;
  if (kind === 'java-5.5.0') {
    expect(unexplained(verdict.doubled, snapshot(pair)), `${name}: doubled`).toEqual([]);
    return;
  }
  // These repeat a send without telling: at most the one each lane had open when something broke.
  expect(verdict.doubled.length, `${name}: doubled`).toBeLessThanOrEqual(2 * lanes);
}

test('a planned switchover loses nothing, keeps the order and restarts nobody', async () => {
  const from = Date.now() - MARGIN_MS;
  const result = await switchToWest();
  const flippedMs = Date.now();
  expect(result).toMatchObject({ outcome: 'done', epoch: 2 });
  await moved(flippedMs);
  const to = Date.now();
  const judged = await verdicts(site.stage.files('west').nameserver);
  report(
    `planned: write pause ${Math.round(result.writePauseMs ?? -1)} ms (fence to first write)`,
    { from, to },
    judged,
  );
  for (const [pair, verdict] of judged) {
    expect(verdict.acknowledged).toBeGreaterThan(3 * pair.plan.rate);
    expect(verdict.allLost, `${pair.plan.name}: lost`).toEqual(new Set());
    expectOrderAndDelivery(pair, verdict);
    expectOnlyRetriesDouble(pair, verdict);
  }
});

test('a failover after kill -9 loses no more than stated, and the dead disk lists exactly that', async () => {
  const { stage, wan } = site;
  await stage.ready('east');
  await stage.until('east', 'following', ({ link }) => (link?.lagMessages ?? Infinity) < 1_000);
  // The bytes of the link stop while its samples go on. What lay between the two when they stopped may still
  // arrive; everything above that limit is lost for certain.
  wan.blackhole();
  await stage.until('east', 'far behind', ({ link }) => (link?.lagMessages ?? 0) > 2_500);
  const from = Date.now() - MARGIN_MS;
  wan.cut();
  await stage.kill('west');
  const words = ['failover', '-c', stage.files('east').drYaml, '--to', 'east'];
  const run = await drJson<OperationResult>([...words, '--accept-data-loss'], stage.folder, [0, 3]);
  const flippedMs = Date.now();
  await moved(flippedMs);
  const to = Date.now();
  for (const pair of pairs) await pair.producer.stop();
  const since = run.statement?.unknownSinceMs;
  const judged = await verdicts(stage.files('east').nameserver, since);
  report(
    `failover: RTO ${Math.round(run.rtoMs ?? -1)} ms (command to first write)`,
    { from, to },
    judged,
  );
  const stated = new Map(
    run.statement?.brokers.flatMap(({ queues }) =>
      queues.map(({ queue, missing }): [string, number] => [queue, missing]),
    ),
  );
  for (const [pair, verdict] of judged) {
    for (const [queue, lost] of Object.entries(verdict.lostBeforeByQueue)) {
      expect(lost, queue).toBeLessThanOrEqual(stated.get(queue) ?? 0);
    }
    expectOrderAndDelivery(pair, verdict);
    expectOnlyRetriesDouble(pair, verdict);
  }
  const lost = [...judged.values()].reduce((sum, { allLost }) => sum + allLost.size, 0);
  expect(lost).toBeGreaterThan(100);
  await expectTailListsWhatIsLost(judged);
});

interface TailList {
  from: number;
  queues: { queue: string; messages: number }[];
}

/** The tail also holds sends whose answer died with the region: stored, never acknowledged there. */
async function expectTailListsWhatIsLost(judged: Map<Pair, PairVerdict>): Promise<void> {
  const { stage } = site;
  const store = stage.files('west').store;
  const words = ['reconcile', 'list', '-c', stage.files('east').drYaml, '--store', store];
  const list = await drJson<TailList>(words, stage.folder, [3]);
  for (const [pair, verdict] of judged) {
    const acked = new Map(
      acknowledged(pair.sends()).map(({ key, queue, offset }) => [key, `${queue}@${offset}`]),
    );
    const tail = await readTail(store, list.from, pair.topic);
    const listed = list.queues
      .filter(({ queue }) => queue.startsWith(`${pair.topic}@`))
      .reduce((sum, { messages }) => sum + messages, 0);
    const answered = tail.filter(({ key, place }) => acked.get(key) === place);
    const name = pair.plan.name;
    expect(listed, `${name}: listed`).toBe(tail.length);
    expect(new Set(answered.map(({ key }) => key)), `${name}: tail`).toEqual(verdict.allLost);
    process.stdout.write(
      `  ${name.padEnd(6)} tail ${listed} = lost ${verdict.allLost.size}` +
        ` + never acknowledged ${listed - answered.length}\n`,
    );
    // A lane has one send open, and its library repeats that a few times at most.
    expect(listed - answered.length).toBeLessThanOrEqual(4 * pair.plan.lanes);
  }
}

test('every client is the process that was started, and ends as it should', async () => {
  const now = pairs.flatMap(({ producer, consumer }) => [producer.child.pid, consumer.child.pid]);
  expect(now).toEqual(pids);
  for (const { consumer } of pairs) {
    expect(consumer.child.hasExited).toBe(false);
    await consumer.stop();
  }
});
