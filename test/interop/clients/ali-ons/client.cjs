// An ordinary RocketMQ program on ali-ons, outside our process; same arguments and history as
// DrClient.java: mode=produce|consume|broadcast|retry namesrv= topic= group= history= [rate=100]
// [count=0] [seconds=0] [threads=1] [prefix=p] [size=0] [level=0] [poll=30000]. orderly and batch do not exist in this client:
// exit 2. Every event is one line, written through to the operating system before it goes on.
'use strict';
const fs = require('node:fs');
const { Producer, Consumer, Message } = require('ali-ons');
const httpclient = require('urllib');

const options = Object.fromEntries(
  process.argv.slice(2).map((arg) => {
    const at = arg.indexOf('=');
    return [arg.slice(0, at), arg.slice(at + 1)];
  }),
);
const text = (name, otherwise) => {
  const value = options[name] ?? otherwise;
  if (value === undefined) throw new Error(`missing argument ${name}`);
  return value;
};
const number = (name, otherwise) => Number(text(name, String(otherwise)));
const history = fs.openSync(text('history'), 'a');
const record = (event) => {
  fs.writeSync(history, `${JSON.stringify({ t: Date.now(), ...event })}\n`);
};

const quiet = () => undefined;
const complain = (reason) => process.stderr.write(`${reason?.stack ?? reason}\n`);
const base = {
  httpclient,
  nameSrv: text('namesrv'),
  ...(options.accessKey ? { accessKey: options.accessKey, secretKey: text('secretKey') } : {}),
  pollNameServerInteval: number('poll', 30_000),
  logger: { debug: quiet, info: quiet, warn: quiet, error: complain },
};

let isStopping = false;
const wakeUps = new Set();
const stop = () => {
  isStopping = true;
  for (const wake of wakeUps) wake();
};
// The library leaves promises unhandled while the %RETRY% topic of a new group has no route yet.
process.on('unhandledRejection', complain);
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
const pause = (ms) =>
  new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      wakeUps.delete(wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    wakeUps.add(wake);
    if (isStopping) wake();
  });

async function produce() {
  const producer = new Producer({ ...base, producerGroup: text('group', 'PG') });
  producer.on('error', complain);
  await producer.ready();
  process.stdout.write('READY\n');
  const threads = number('threads', 1);
  const lanes = Array.from({ length: threads }, (_, i) =>
    sendLoop(producer, `${text('prefix', 'p')}.${i}`, threads),
  );
  await Promise.all(lanes);
  await producer.close();
}

async function sendLoop(producer, prefix, threads) {
  const [count, seconds] = [number('count', 0), number('seconds', 0)];
  const gapMs = (1000 * threads) / number('rate', 100);
  const start = Date.now();
  let next = start;
  for (let serial = 0; count === 0 || serial < count; serial++) {
    // After an outage a real sender goes on at its pace: no catching up beyond a second.
    if (Date.now() - next > 1000) next = Date.now();
    if (next > Date.now()) await pause(next - Date.now());
    next += gapMs;
    if (isStopping || (seconds > 0 && Date.now() - start > seconds * 1000)) return;
    await send(producer, `${prefix}-${serial}`);
  }
}

async function send(producer, key) {
  const message = new Message(text('topic'), text('tag', 'TagA'), key.padEnd(number('size', 0), '.'));
  message.keys = [key];
  if (number('level', 0) > 0) message.delayTimeLevel = number('level', 0);
  record({ op: 'send', phase: 'invoke', key });
  try {
    const result = await producer.send(message);
    const queue = `${result.messageQueue.brokerName}@${result.messageQueue.queueId}`;
    const isOk = result.sendStatus === 'SEND_OK';
    const offset = Number(result.queueOffset);
    record({ op: 'send', phase: isOk ? 'ok' : 'unknown', key, queue, offset });
  } catch (reason) {
    // Retries inside the client hide whether an earlier try was stored.
    record({ op: 'send', phase: 'unknown', key, error: String(reason?.message) });
  }
}

async function consume(mode) {
  const consumer = new Consumer({
    ...base,
    consumerGroup: text('group', 'CG'),
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    isBroadcast: mode === 'broadcast',
  });
  consumer.on('error', complain);
  consumer.subscribe(text('topic'), text('filter', '*'), async (message, place) => {
    // A redelivered message comes without its place.
    const reconsume = Number(message.reconsumeTimes ?? 0);
    record({
      op: 'consume',
      key: String(message.keys ?? '').trim(),
      queue: `${place?.brokerName ?? '?'}@${message.queueId}`,
      offset: Number(message.queueOffset),
      reconsume,
    });
    if (mode === 'retry' && reconsume === 0) throw new Error('refused once');
  });
  await consumer.ready();
  process.stdout.write('READY\n');
  const seconds = number('seconds', 0);
  await pause(seconds > 0 ? seconds * 1000 : 2 ** 31 - 1);
  await consumer.close();
}

async function main() {
  const mode = text('mode');
  if (mode === 'produce') await produce();
  else if (['consume', 'broadcast', 'retry'].includes(mode)) await consume(mode);
  else {
    process.stderr.write(`ali-ons has no mode ${mode}\n`);
    process.exitCode = 2;
    return;
  }
}

main().then(
  () => process.exit(process.exitCode ?? 0),
  (reason) => {
    complain(reason);
    process.exit(1);
  },
);
