// Apache's own benchmark programs against one broker: Producer with 64 threads and Consumer of the same
// topic, as rocketmq-example ships them. Their lines are read, their own rates judged: here the client is
// the bottleneck. Both are ended by their process id after a bounded time.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Child } from '../../interop/peers/child.ts';
import { jarsOf } from '../../interop/peers/install.ts';
import type { Site } from './pair.ts';

const PACKAGE = 'org.apache.rocketmq.example.benchmark';
const REPORT_MS = 1_000;
/** The first lines are the JVM warming up. */
const LINES_SKIPPED = 2;
const LINES_READ = 4;

export interface JavaLoad {
  sendTps: number;
  averageRtMs: number;
  consumeTps: number;
}

interface Round {
  site: Site;
  folder: string;
  topic: string;
}

function start(round: Round, program: 'Producer' | 'Consumer', words: string[]): Child {
  const home = path.join(round.folder, 'home');
  fs.mkdirSync(home, { recursive: true });
  return new Child({
    command: 'java',
    args: [
      '-Xms256m',
      '-Xmx256m',
      `-Drocketmq.home.dir=${home}`,
      `-Duser.home=${home}`,
      '-cp',
      jarsOf('server-5.5.0'),
      `${PACKAGE}.${program}`,
      ...['-n', round.site.nameServer, '-t', round.topic, '-ri', String(REPORT_MS), ...words],
    ],
    logFile: path.join(round.folder, `${program}.log`),
    cwd: round.folder,
  });
}

const numbers = (text: string, pattern: RegExp): number[] =>
  [...text.matchAll(pattern)].map((match) => Number(match[1])).slice(LINES_SKIPPED);

const mean = (values: number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

const SEND_TPS = /Send TPS: (\d+)/g;
const SEND_RT = /Average RT\(ms\): +([\d.]+)/g;
const CONSUME_TPS = /Consume TPS: (\d+)/g;

/** Runs both programs until the producer has told enough lines. */
export async function javaBenchmark(round: Round): Promise<JavaLoad> {
  fs.mkdirSync(round.folder, { recursive: true });
  const consumer = start(round, 'Consumer', ['-g', 'bench_consumer']);
  const producer = start(round, 'Producer', ['-w', '64', '-s', '128']);
  try {
    await producer.ready(
      () => numbers(producer.output(), SEND_TPS).length >= LINES_SKIPPED + LINES_READ,
    );
    return {
      sendTps: mean(numbers(producer.output(), SEND_TPS)),
      averageRtMs: mean(numbers(producer.output(), SEND_RT)),
      consumeTps: mean(numbers(consumer.output(), CONSUME_TPS)),
    };
  } finally {
    await Promise.all([producer.stop(10_000), consumer.stop(10_000)]);
  }
}
