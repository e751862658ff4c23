// Pipelined load generator: keeps N sends in flight over M connections for D seconds and prints one
// JSON line. Lean on purpose: every frame is built once, only opaque and unique key are patched in
// place, answers are counted by walking frames. Latency pairs answers with sends in order per
// connection, which is how servers answer sends of one connection here.
//   node test/bench/load.ts HOST:PORT [--header json|binary] [--body BYTES] [--inflight N]
//     [--connections M] [--seconds D] [--warmup S] [--topic T] [--queues Q] [--pid SERVER_PID]
import * as net from 'node:net';
import { parseArgs } from 'node:util';
import {
  decodeCommand,
  encodeRequest,
  formatMessageProperties,
  parseAddress,
} from '../../core-broker/protocol/index.ts';
import { FrameReader } from '../../core-broker/remoting/index.ts';
import { cpuUsOf } from './programs.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    header: { type: 'string', default: 'json' },
    body: { type: 'string', default: '128' },
    inflight: { type: 'string', default: '1024' },
    connections: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '1' },
    topic: { type: 'string', default: 'BenchmarkTest' },
    queues: { type: 'string', default: '8' },
    pid: { type: 'string' },
  },
});

const OPAQUE_BASE = 1_000_000_000;
const OPAQUE_SPAN = 1_000_000_000;
const KEY_MARK = 'FFFFFFFF';
const RECEIVE_BYTES = 256 * 1024;
const SAMPLES_MAX = 4_000_000;
const queues = Number(values.queues);
const isBinary = values.header === 'binary';

function buildFrame(queueId: number): Buffer {
  const properties = formatMessageProperties([
    ['KEYS', 'order-00000001'],
    ['UNIQ_KEY', `7F0000010001000000000000${KEY_MARK}`],
    ['WAIT', 'true'],
    ['TAGS', 'TagA'],
    ['TRACE_ID', '00000000000000000000000000'],
  ]);
  const ext = {
    a: 'bench_producer_group',
    b: values.topic,
    c: 'TBW102',
    d: '4',
    e: String(queueId),
    f: '0',
    g: String(Date.now()),
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    m: 'false',
    n: 'broker-a',
  };
  const body = Buffer.alloc(Number(values.body), 'x');
  const header = isBinary ? 'ROCKETMQ' : 'JSON';
  return encodeRequest({ code: 310, ext, body }, OPAQUE_BASE, { header, version: 479 });
}

interface Totals {
  done: number;
  errors: number;
  firstError: string | undefined;
  samples: Float64Array;
  sampled: number;
  isMeasuring: boolean;
}
const totals: Totals = {
  done: 0,
  errors: 0,
  firstError: undefined,
  samples: new Float64Array(SAMPLES_MAX),
  sampled: 0,
  isMeasuring: false,
};

let sequence = 0;

/** One connection with its window of prebuilt frames, used as a ring. */
class Lane {
  readonly #window: number;
  readonly #size: number;
  readonly #frames: Buffer;
  readonly #opaqueAt: number;
  readonly #keyAt: number;
  readonly #sentAt: Float64Array;
  readonly #socket: net.Socket;
  readonly #reader: FrameReader;
  #next = 0;
  #answered = 0;

  constructor(target: string, window: number) {
    this.#window = window;
    const frames = Array.from({ length: window }, (_, i) => buildFrame(i % queues));
    this.#size = frames[0]?.length ?? 0;
    this.#frames = Buffer.concat(frames);
    const mark = isBinary ? 13 : this.#frames.indexOf(String(OPAQUE_BASE));
    this.#opaqueAt = mark;
    this.#keyAt = this.#frames.indexOf(KEY_MARK);
    this.#sentAt = new Float64Array(window);
    const budget = { usedBytes: 0, maxBytes: 1 << 30 };
    this.#reader = new FrameReader((c, s, e) => this.#onAnswer(c, s, e), 1 << 24, budget);
    const { host, port } = parseAddress(target);
    this.#socket = net.connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
        callback: (size, bytes) => {
          this.#answered = 0;
          this.#reader.push(bytes as Buffer, size);
          this.#send(this.#answered);
          return true;
        },
      },
    });
    this.#socket.on('error', (reason) => {
      process.stderr.write(`${reason.message}\n`);
      process.exit(1);
    });
    this.#socket.on('connect', () => this.#send(window));
  }

  #onAnswer(chunk: Buffer, start: number, end: number): void {
    // `{"code":0,` right behind the two length words: the usual answer, told without decoding.
    const isPlainOk = chunk[start + 16] === 0x30 && chunk[start + 17] === 0x2c;
    if (!isPlainOk) noteAnswer(chunk, start, end);
    this.#answered++;
  }

  /** Sends again the `count` oldest slots: they were just answered. */
  #send(count: number): void {
    if (count === 0) return;
    const now = performance.now();
    const first = this.#next;
    for (let i = 0; i < count; i++) {
      const slot = (first + i) % this.#window;
      const sentAt = this.#sentAt[slot] ?? 0;
      if (sentAt > 0 && totals.isMeasuring) note(now - sentAt);
      this.#sentAt[slot] = now;
      this.#patch(slot * this.#size);
    }
    this.#next = (first + count) % this.#window;
    const untilWrap = Math.min(count, this.#window - first);
    this.#write(first, untilWrap);
    if (count > untilWrap) this.#write(0, count - untilWrap);
  }

  #write(slot: number, count: number): void {
    this.#socket.write(this.#frames.subarray(slot * this.#size, (slot + count) * this.#size));
  }

  #patch(at: number): void {
    const id = sequence++ % OPAQUE_SPAN;
    if (isBinary) this.#frames.writeInt32BE(id, at + this.#opaqueAt);
    else writeDigits(this.#frames, at + this.#opaqueAt, OPAQUE_BASE + id);
    writeHexDigits(this.#frames, at + this.#keyAt, id);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function writeDigits(bytes: Buffer, at: number, value: number): void {
  let rest = value;
  for (let i = 9; i >= 0; i--) {
    const next = Math.floor(rest / 10);
    bytes[at + i] = 0x30 + rest - next * 10;
    rest = next;
  }
}

function writeHexDigits(bytes: Buffer, at: number, value: number): void {
  for (let i = 7, rest = value; i >= 0; i--, rest >>>= 4) {
    const digit = rest & 15;
    bytes[at + i] = digit < 10 ? 0x30 + digit : 0x37 + digit;
  }
}

function note(latencyMs: number): void {
  totals.done++;
  if (totals.sampled < SAMPLES_MAX) totals.samples[totals.sampled++] = latencyMs;
}

function noteAnswer(chunk: Buffer, start: number, end: number): void {
  const answer = decodeCommand(chunk, start, end);
  if (answer.code === 0) return;
  totals.errors++;
  totals.firstError ??= `${answer.code} ${answer.remark ?? ''}`;
}

const serverCpuUs = (): number | undefined =>
  values.pid === undefined ? undefined : cpuUsOf(Number(values.pid));

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Ends at the time or when the samples are full, whichever comes first: the load is bounded. */
async function untilEnough(endMs: number): Promise<void> {
  while (totals.sampled < SAMPLES_MAX && performance.now() < endMs) {
    await wait(Math.min(50, Math.max(1, endMs - performance.now())));
  }
}

async function run(): Promise<void> {
  const target = positionals[0];
  if (target === undefined) throw new Error('usage: load.ts HOST:PORT [options]');
  const connections = Math.min(Number(values.connections), Number(values.inflight));
  const window = Math.max(1, Math.floor(Number(values.inflight) / connections));
  const lanes = Array.from({ length: connections }, () => new Lane(target, window));
  await wait(Number(values.warmup) * 1000);
  const cpuBefore = process.cpuUsage();
  const serverBefore = serverCpuUs();
  const startedMs = performance.now();
  totals.isMeasuring = true;
  await untilEnough(startedMs + Number(values.seconds) * 1000);
  totals.isMeasuring = false;
  const seconds = (performance.now() - startedMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const serverAfter = serverCpuUs();
  for (const lane of lanes) lane.close();
  const sorted = totals.samples.subarray(0, totals.sampled).sort();
  const at = (share: number): number =>
    Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 1000);
  const done = Math.max(1, totals.done);
  const serverCpu =
    serverBefore === undefined || serverAfter === undefined
      ? undefined
      : serverAfter - serverBefore;
  const round = (value: number): number => Math.round(value * 1000) / 1000;
  process.stdout.write(
    `${JSON.stringify({
      msgsPerSec: Math.round(totals.done / seconds),
      messages: totals.done,
      errors: totals.errors,
      firstError: totals.firstError,
      p50us: at(0.5),
      p99us: at(0.99),
      maxus: at(0.999999),
      generatorCpuUsPerMsg: round((cpu.user + cpu.system) / done),
      serverCpuUsPerMsg: serverCpu === undefined ? undefined : round(serverCpu / done),
      header: values.header,
      bodyBytes: Number(values.body),
      inflight: window * connections,
      connections,
      seconds: round(seconds),
    })}\n`,
  );
}

await run();
