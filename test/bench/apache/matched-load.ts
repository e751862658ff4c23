// Pipelined load for two brokers that answer in different orders: each answer is matched with its send by
// opaque, so latencies are true for a broker with many threads too. JSON headers, as Java clients send.
// Closed loop (every answer is followed by a new send) or at a rate with at most N in flight.
// Prints one JSON line; bounded in time and in samples.
//   node test/bench/apache/matched-load.ts HOST:PORT [--body BYTES] [--inflight N] [--connections M]
//     [--seconds D] [--warmup S] [--rate MSGS_PER_SEC] [--topic T] [--queues Q] [--pid SERVER_PID]
import * as net from 'node:net';
import { parseArgs } from 'node:util';
import { decodeCommand, parseAddress } from '../../../core-broker/protocol/index.ts';
import { FrameReader } from '../../../core-broker/remoting/index.ts';
import { cpuUsOf } from '../programs.ts';
import { FrameWindow } from '../send-frames.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    body: { type: 'string', default: '128' },
    inflight: { type: 'string', default: '256' },
    connections: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '2' },
    warmup: { type: 'string', default: '0.5' },
    rate: { type: 'string', default: '0' },
    topic: { type: 'string', default: 'BenchmarkTest' },
    queues: { type: 'string', default: '8' },
    pid: { type: 'string' },
  },
});

const RECEIVE_BYTES = 256 * 1024;
const SAMPLES_MAX = 4_000_000;
const OPAQUE_MARK = Buffer.from('"opaque":');
const OPAQUE_BASE = 1_000_000_000;
const PACE_MS = 1;
const queues = Number(values.queues);
const ratePerSec = Number(values.rate);

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

/** One connection and its window of prebuilt frames; a slot is free or in flight. */
class Lane {
  readonly #window: number;
  readonly #frames: FrameWindow;
  readonly #sentAt: Float64Array;
  readonly #socket: net.Socket;
  readonly #reader: FrameReader;
  readonly #free: number[] = [];
  #turn = 0;

  constructor(target: string, window: number) {
    this.#window = window;
    const shape = { isBinary: false, topic: values.topic, bodyBytes: Number(values.body) };
    this.#frames = new FrameWindow(shape, window, queues);
    this.#sentAt = new Float64Array(window);
    for (let slot = 0; slot < window; slot++) this.#free.push(slot);
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
          this.#reader.push(bytes as Buffer, size);
          if (ratePerSec === 0) this.send(this.#free.length);
          return true;
        },
      },
    });
    this.#socket.on('error', (reason) => {
      process.stderr.write(`${reason.message}\n`);
      process.exit(1);
    });
    this.#socket.on('connect', () => {
      if (ratePerSec === 0) this.send(window);
    });
  }

  #onAnswer(chunk: Buffer, start: number, end: number): void {
    const isPlainOk = chunk[start + 16] === 0x30 && chunk[start + 17] === 0x2c;
    const isSent = isPlainOk || isSuccess(chunk, start, end);
    const slot = (opaqueOf(chunk, start) - OPAQUE_BASE) % this.#window;
    if (totals.isMeasuring && isSent) note(performance.now() - (this.#sentAt[slot] ?? 0));
    this.#free.push(slot);
  }

  /** Sends up to `count` free slots in one write. Returns how many there were. */
  send(count: number): number {
    const taken = Math.min(count, this.#free.length);
    if (taken === 0) return 0;
    const { bytes, size } = this.#frames;
    const out = Buffer.allocUnsafe(taken * size);
    const now = performance.now();
    for (let i = 0; i < taken; i++) {
      const slot = this.#free.pop() as number;
      this.#sentAt[slot] = now;
      this.#frames.patch(slot, this.#turn * this.#window + slot);
      bytes.copy(out, i * size, slot * size, (slot + 1) * size);
    }
    // A slot's sequence must differ from its last one, so each write is a turn of its own.
    this.#turn = (this.#turn + 1) % Math.floor(OPAQUE_BASE / this.#window);
    this.#socket.write(out);
    return taken;
  }

  close(): void {
    this.#socket.destroy();
  }
}

function opaqueOf(chunk: Buffer, start: number): number {
  let at = chunk.indexOf(OPAQUE_MARK, start) + OPAQUE_MARK.length;
  let value = 0;
  for (let byte = chunk[at] ?? 0; byte >= 0x30 && byte <= 0x39; byte = chunk[++at] ?? 0) {
    value = value * 10 + byte - 0x30;
  }
  return value;
}

function note(latencyMs: number): void {
  totals.done++;
  if (totals.sampled < SAMPLES_MAX) totals.samples[totals.sampled++] = latencyMs;
}

/** A refusal is counted as an error, never as a message. */
function isSuccess(chunk: Buffer, start: number, end: number): boolean {
  const answer = decodeCommand(chunk, start, end);
  if (answer.code === 0) return true;
  totals.errors++;
  totals.firstError ??= `${answer.code} ${answer.remark ?? ''}`;
  return false;
}

/** Hands out sends at the rate, to the lanes in turn; what finds no free slot is not made up for. */
function pace(lanes: Lane[]): NodeJS.Timeout {
  let lastMs = performance.now();
  let owed = 0;
  let next = 0;
  return setInterval(() => {
    const now = performance.now();
    owed += ((now - lastMs) * ratePerSec) / 1000;
    lastMs = now;
    const share = Math.ceil(owed / lanes.length);
    for (let i = 0; i < lanes.length && owed >= 1; i++) {
      owed -= (lanes[next] as Lane).send(Math.min(share, Math.floor(owed)));
      next = (next + 1) % lanes.length;
    }
    owed = Math.min(owed, Number(values.inflight));
  }, PACE_MS);
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const round = (value: number): number => Math.round(value * 1000) / 1000;

async function run(): Promise<void> {
  const target = positionals[0];
  if (target === undefined) throw new Error('usage: matched-load.ts HOST:PORT [options]');
  const connections = Math.min(Number(values.connections), Number(values.inflight));
  const window = Math.max(1, Math.floor(Number(values.inflight) / connections));
  const lanes = Array.from({ length: connections }, () => new Lane(target, window));
  const pacer = ratePerSec > 0 ? pace(lanes) : undefined;
  await wait(Number(values.warmup) * 1000);
  const pid = values.pid === undefined ? undefined : Number(values.pid);
  const cpuBefore = pid === undefined ? 0 : cpuUsOf(pid);
  const startedMs = performance.now();
  totals.isMeasuring = true;
  const endMs = startedMs + Number(values.seconds) * 1000;
  while (totals.sampled < SAMPLES_MAX && performance.now() < endMs) {
    await wait(Math.min(50, Math.max(1, endMs - performance.now())));
  }
  totals.isMeasuring = false;
  const seconds = (performance.now() - startedMs) / 1000;
  const cpuUs = pid === undefined ? Number.NaN : cpuUsOf(pid) - cpuBefore;
  clearInterval(pacer);
  for (const lane of lanes) lane.close();
  const sorted = totals.samples.subarray(0, totals.sampled).sort();
  const at = (share: number): number =>
    Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 1000);
  const answer = {
    msgsPerSec: Math.round(totals.done / seconds),
    messages: totals.done,
    errors: totals.errors,
    firstError: totals.firstError,
    p50us: at(0.5),
    p99us: at(0.99),
    serverCpuUsPerMsg: round(cpuUs / Math.max(1, totals.done)),
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

await run();
