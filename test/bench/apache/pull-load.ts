// Consumers as a load: one pull in flight per queue and reader, answers counted by their body bytes and
// thrown away. A reader starts at the least offset of each queue and starts again at its end, so the
// load is bounded by time alone. Pulls carry their subscription, as lite consumers send it.
//   node test/bench/apache/pull-load.ts HOST:PORT [--topic T] [--queues Q] [--tags EXPRESSION]
//     [--readers R] [--connections M] [--seconds D] [--warmup S] [--once] [--pid SERVER_PID]
import { parseArgs } from 'node:util';
import { createPeerClient, type PeerClient } from '../../../core-broker/client/index.ts';
import { PullSysFlag, RequestCode, ResponseCode } from '../../../core-broker/protocol/index.ts';
import { cpuUsOf } from '../programs.ts';

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

const TIMEOUT_MS = 10_000;
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
  peer: PeerClient;
  address: string;
  group: string;
  queueId: number;
}

async function offsetOf(reader: Reader, code: number): Promise<number> {
  const ext = { topic: values.topic, queueId: reader.queueId };
  const answer = await reader.peer.invoke(reader.address, { code, ext }, TIMEOUT_MS);
  return Number(answer.ext['offset'] ?? 0);
}

async function read(reader: Reader): Promise<void> {
  const first = await offsetOf(reader, RequestCode.GET_MIN_OFFSET);
  const end = await offsetOf(reader, RequestCode.GET_MAX_OFFSET);
  if (first === end) return;
  let offset = values.tail ? end : first;
  while (!isOver) {
    const answer = await reader.peer.invoke(reader.address, pullAt(reader, offset), TIMEOUT_MS);
    if (!FINE.has(answer.code)) {
      totals.refused ??= `${answer.code} ${answer.remark ?? ''}`;
      return;
    }
    totals.bytes += answer.body?.length ?? 0;
    totals.pulls++;
    offset = Number(answer.ext['nextBeginOffset']);
    if (values.tail || offset < end) continue;
    if (values.once) return;
    offset = first;
  }
}

function pullAt(reader: Reader, offset: number) {
  const ext = {
    consumerGroup: reader.group,
    topic: values.topic,
    queueId: reader.queueId,
    queueOffset: offset,
    maxMsgNums: PULL_MAX,
    sysFlag: PullSysFlag.SUBSCRIPTION | (values.tail ? PullSysFlag.SUSPEND : 0),
    commitOffset: 0,
    suspendTimeoutMillis: POLL_MS,
    subscription: values.tags,
    subVersion: 0,
    expressionType: 'TAG',
  };
  return { code: RequestCode.PULL_MESSAGE, ext };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function run(): Promise<void> {
  const address = positionals[0];
  if (address === undefined) throw new Error('usage: pull-load.ts HOST:PORT [options]');
  const peers = Array.from({ length: Number(values.connections) }, () => createPeerClient());
  const reading: Promise<void>[] = [];
  for (let r = 0; r < Number(values.readers); r++) {
    for (let queueId = 0; queueId < Number(values.queues); queueId++) {
      const peer = peers[(r + queueId) % peers.length] as PeerClient;
      reading.push(read({ peer, address, group: `bench_reader_${r}`, queueId }));
    }
  }
  const all = Promise.all(reading);
  if (!values.once) await wait(Number(values.warmup) * 1000);
  const before = { ...totals, ms: performance.now(), cpuUs: serverCpu() };
  await Promise.race([all, wait(Number(values.seconds) * 1000)]);
  const seconds = (performance.now() - before.ms) / 1000;
  const bytes = totals.bytes - before.bytes;
  const answer = {
    mbPerSec: bytes / seconds / 1e6,
    bytes,
    pulls: totals.pulls - before.pulls,
    refused: totals.refused,
    serverCpuUsPerKib: (serverCpu() - before.cpuUs) / Math.max(1, bytes / 1024),
  };
  isOver = true;
  await all;
  for (const peer of peers) peer.close();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const serverCpu = (): number =>
  values.pid === undefined ? Number.NaN : cpuUsOf(Number(values.pid));

await run();
