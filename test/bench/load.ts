// Pipelined load generator: keeps N sends in flight over M connections for D seconds and prints one
// JSON line. Lean on purpose: every frame is built once, only opaque and unique key are patched in
// place, answers are counted by walking frames. Latency pairs answers with sends in order per
// connection, which is how servers answer sends of one connection here.
//   node test/bench/load.ts HOST:PORT [--header json|binary] [--body BYTES] [--inflight N]
//     [--connections M] [--seconds D] [--warmup S] [--topic T] [--queues Q] [--pid SERVER_PID]
import * as net from 'node:net';
import { parseArgs } from 'node:util';
import { decodeCommand, parseAddress } from '../../core-broker/protocol/index.ts';
import { FrameReader } from '../../core-broker/remoting/index.ts';
import { cpuUsOf } from './programs.ts';
import { FrameWindow } from './send-frames.ts';

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

const RECEIVE_BYTES = 256 * 1024;
const SAMPLES_MAX = 4_000_000;
const queues = Number(values.queues);
const isBinary = values.header === 'binary';

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
  readonly #frames: FrameWindow;
  readonly #sentAt: Float64Array;
  readonly #socket: net.Socket;
  readonly #reader: FrameReader;
  #next = 0;
  #answered = 0;

  constructor(target: string, window: number) {
    this.#window = window;
    const shape = { isBinary, topic: values.topic, bodyBytes: Number(values.body) };
    this.#frames = new FrameWindow(shape, window, queues);
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
      this.#frames.patch(slot, sequence++);
    }
    this.#next = (first + count) % this.#window;
    const untilWrap = Math.min(count, this.#window - first);
    this.#write(first, untilWrap);
    if (count > untilWrap) this.#write(0, count - untilWrap);
  }

  #write(slot: number, count: number): void {
    const { bytes, size } = this.#frames;
    this.#socket.write(bytes.subarray(slot * size, (slot + count) * size));
  }

  close(): void {
    this.#socket.destroy();
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
