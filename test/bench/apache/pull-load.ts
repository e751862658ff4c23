// Consumers as a load: one pull in flight per queue and reader, answers counted by their body bytes and
// thrown away. A reader starts at the least offset of each queue and starts again at its end, so the
// load is bounded by time alone. Pulls carry their subscription, as lite consumers send it.
//   node test/bench/apache/pull-load.ts HOST:PORT [--topic T] [--queues Q] [--tags EXPRESSION]
//     [--readers R] [--connections M] [--seconds D] [--warmup S] [--once] [--pid SERVER_PID]
import { parseArgs } from 'node:util';
import { PullSysFlag, RequestCode, ResponseCode } from '../../../core-broker/protocol/index.ts';
import { cpuUsOf } from '../programs.ts';
import { type Answer, PullLane } from './pull-lane.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    topic: { type: 'string', default: 'BenchmarkTest' },
    queues: { type: 'string', default: '8' },
    tags: { type: 'string', default: '*' },
    readers: { type: 'string', default: '1' },
    connections: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '2' },
    warmup: { type: 'string', default: '0.5' },
    /** Ends when every queue was read once: what is on disk is there only the first time. */
    once: { type: 'boolean', default: false },
    /** Starts at the end and follows it with long polls. */
    tail: { type: 'boolean', default: false },
    pid: { type: 'string' },
  },
});

const POLL_MS = 1_000;
const PULL_MAX = 32;
const FINE: ReadonlySet<number> = new Set([
  ResponseCode.SUCCESS,
  ResponseCode.PULL_NOT_FOUND,
  ResponseCode.PULL_RETRY_IMMEDIATELY,
]);
const totals = { bytes: 0, pulls: 0, refused: undefined as string | undefined };
let isOver = false;

interface Reader {
  lane: PullLane;
  group: string;
  queueId: number;
  first: number;
  end: number;
}

function ask(lane: PullLane, code: number, ext: Record<string, unknown>): Promise<Answer> {
  return new Promise((resolve) => lane.ask(code, ext, resolve));
}

async function read(reader: Reader): Promise<void> {
  const { lane } = reader;
  const queue = { topic: values.topic, queueId: reader.queueId };
  reader.first = Number((await ask(lane, RequestCode.GET_MIN_OFFSET, queue)).ext['offset']);
  reader.end = Number((await ask(lane, RequestCode.GET_MAX_OFFSET, queue)).ext['offset']);
  if (reader.first === reader.end) return;
  await new Promise<void>((done) => pull(reader, values.tail ? reader.end : reader.first, done));
}

/** One pull after the other, without a promise for each. */
function pull(reader: Reader, offset: number, done: () => void): void {
  reader.lane.ask(RequestCode.PULL_MESSAGE, pullAt(reader, offset), (answer) => {
    if (!FINE.has(answer.code)) {
      totals.refused ??= `${answer.code} ${answer.remark ?? ''}`;
      done();
      return;
    }
    totals.bytes += answer.bodyBytes;
    totals.pulls++;
    const next = Number(answer.ext['nextBeginOffset']);
    const isAtEnd = !values.tail && next >= reader.end;
    if (isOver || (isAtEnd && values.once)) done();
    else pull(reader, isAtEnd ? reader.first : next, done);
  });
}

/** Values are texts, as Java clients write them. */
function pullAt(reader: Reader, offset: number) {
  return {
    consumerGroup: reader.group,
    topic: values.topic,
    queueId: String(reader.queueId),
    queueOffset: String(offset),
    maxMsgNums: String(PULL_MAX),
    sysFlag: String(PullSysFlag.SUBSCRIPTION | (values.tail ? PullSysFlag.SUSPEND : 0)),
    commitOffset: '0',
    suspendTimeoutMillis: String(POLL_MS),
    subscription: values.tags,
    subVersion: '0',
    expressionType: 'TAG',
  };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function run(): Promise<void> {
  const address = positionals[0];
  if (address === undefined) throw new Error('usage: pull-load.ts HOST:PORT [options]');
  const lanes = Array.from({ length: Number(values.connections) }, () => new PullLane(address));
  const reading: Promise<void>[] = [];
  for (let r = 0; r < Number(values.readers); r++) {
    for (let queueId = 0; queueId < Number(values.queues); queueId++) {
      const lane = lanes[(r + queueId) % lanes.length] as PullLane;
      reading.push(read({ lane, group: `bench_reader_${r}`, queueId, first: 0, end: 0 }));
    }
  }
  const all = Promise.all(reading);
  if (!values.once) await wait(Number(values.warmup) * 1000);
  const ownCpu = () => process.cpuUsage().user + process.cpuUsage().system;
  const before = { ...totals, ms: performance.now(), cpuUs: serverCpu(), ownUs: ownCpu() };
  await Promise.race([all, wait(Number(values.seconds) * 1000)]);
  const seconds = (performance.now() - before.ms) / 1000;
  const bytes = totals.bytes - before.bytes;
  const kib = Math.max(1, bytes / 1024);
  const answer = {
    mbPerSec: bytes / seconds / 1e6,
    bytes,
    pulls: totals.pulls - before.pulls,
    refused: totals.refused,
    serverCpuUsPerKib: (serverCpu() - before.cpuUs) / kib,
    loadCpuUsPerKib: (ownCpu() - before.ownUs) / kib,
  };
  isOver = true;
  await all;
  for (const lane of lanes) lane.close();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const serverCpu = (): number =>
  values.pid === undefined ? Number.NaN : cpuUsOf(Number(values.pid));

await run();
