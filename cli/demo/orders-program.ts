// The clients of the demo, each a process of its own: they know one name-server address and nothing of
// regions, and write down what they saw (history.ts).
//   node orders-program.ts produce NAMESERVER TOPIC RATE LANES HISTORY
//   node orders-program.ts consume NAMESERVER TOPIC GROUP HISTORY
//   node orders-program.ts preload NAMESERVER TOPIC MEBIBYTES
//   node orders-program.ts audit   NAMESERVER TOPIC HISTORY
// A lane sends one order after the other, so order per lane and queue is defined.

import { DrError, sleep } from '../../core-broker/base/index.ts';
import {
  Producer,
  PullConsumer,
  PushConsumer,
  type ReceivedMessage,
} from '../../core-broker/client/index.ts';
import { HistoryWriter } from './history.ts';

const [mode = '', nameserver = '', topic = '', ...rest] = process.argv.slice(2);
const nameservers = nameserver.split(';');
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());
process.on('SIGINT', () => stopping.abort());

const programs: Record<string, () => Promise<void>> = { preload, produce, consume, audit };
const program = programs[mode];
if (!program) throw new DrError('USAGE', `mode is one of ${Object.keys(programs).join(', ')}`);
await program();
process.exit(0);

/** Fills a topic with history, so that the mirror has something to catch up with. */
async function preload(): Promise<void> {
  const [mebibytes = '64'] = rest;
  const body = Buffer.alloc(8 * 1024, 'order history ');
  const producer = new Producer({ nameservers, group: 'orders-preload' });
  producer.start();
  await firstRoute(() => producer.send({ topic, body }));
  let left = (Number(mebibytes) * 1024 * 1024) / body.length;
  const lanes = Array.from({ length: 32 }, async () => {
    while (left-- > 0) await producer.send({ topic, body });
  });
  await Promise.all(lanes);
  await producer.stop();
}

/** The global name server polls its regions: a region may be open a moment before its route is. */
async function firstRoute(send: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    try {
      await send();
      return;
    } catch (reason) {
      if (performance.now() > deadline) throw reason;
      await sleep(100);
    }
  }
}

/** Sends orders at a rate until it is told to stop; open sends are awaited. */
async function produce(): Promise<void> {
  const [rate = '500', lanes = '4', file = ''] = rest;
  const history = new HistoryWriter(file);
  const producer = new Producer({ nameservers, group: 'orders-producer' });
  producer.start();
  const pauseMs = (1000 * Number(lanes)) / Number(rate);
  const running = Array.from({ length: Number(lanes) }, (_, lane) =>
    runLane(`lane${lane}`, { producer, history, pauseMs }),
  );
  await Promise.all(running);
  await producer.stop();
  history.close();
}

interface LaneTools {
  producer: Producer;
  history: HistoryWriter;
  pauseMs: number;
}

async function runLane(lane: string, { producer, history, pauseMs }: LaneTools): Promise<void> {
  const startedAt = performance.now();
  for (let sequence = 0; !stopping.signal.aborted; sequence++) {
    const dueMs = startedAt + sequence * pauseMs - performance.now();
    if (dueMs > 0) await sleep(dueMs);
    const key = `${lane}-${sequence}`;
    const order = { order: key, customer: `c${sequence % 997}`, cents: 100 + (sequence % 9000) };
    history.write({ op: 'send', phase: 'invoke', key });
    try {
      const receipt = await producer.send({ topic, keys: key, body: JSON.stringify(order) });
      const queue = `${receipt.queue.brokerName}:${receipt.queue.queueId}`;
      const { attempts, queueOffset: offset } = receipt;
      history.write({ op: 'send', phase: 'ok', key, queue, offset, attempts });
    } catch (reason) {
      // A refusal is a certain "no"; everything else leaves the outcome open.
      const phase = DrError.is(reason, 'REMOTE', 'NO_ROUTE', 'FENCED') ? 'fail' : 'unknown';
      history.write({ op: 'send', phase, key });
    }
  }
}

/** Consumes with the group's offsets until it is told to stop. */
async function consume(): Promise<void> {
  const [group = '', file = ''] = rest;
  const history = new HistoryWriter(file);
  const consumer = new PushConsumer({
    nameservers,
    group,
    topics: { [topic]: '*' },
    from: 'first',
    mode: 'orderly',
    onMessage: (message) => {
      history.write({ op: 'consume', ...seen(message) });
      return true;
    },
  });
  consumer.start();
  await new Promise<void>((resolve) =>
    stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  await consumer.stop();
  history.close();
}

/** Reads every queue from its first message to the end it has now. */
async function audit(): Promise<void> {
  const [file = ''] = rest;
  const history = new HistoryWriter(file);
  const reader = new PullConsumer({ nameservers, group: 'orders-audit' });
  reader.start();
  for (const queue of await reader.queues(topic)) {
    const end = await reader.bound(queue, 'max');
    let next = await reader.bound(queue, 'min');
    while (next < end) {
      const pulled = await reader.pull(queue, next);
      for (const message of pulled.messages) history.write({ op: 'audit', ...seen(message) });
      next = pulled.next;
    }
  }
  reader.stop();
  history.close();
}

function seen(message: ReceivedMessage) {
  const { order } = JSON.parse(message.body.toString()) as { order: string };
  return {
    key: order,
    queue: `${message.brokerName}:${message.queueId}`,
    offset: message.queueOffset,
    reconsume: message.reconsumeTimes,
  };
}
