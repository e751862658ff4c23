// Micro benchmark of a broker's send path without sockets: frames as bytes -> record in the log ->
// reply bytes, with the dispatch that follows. CPU per message, so that a busy machine matters little.
//   node test/bench/send-path.ts [json|binary] [bodyBytes=128] [count=1000000]
// Prints one JSON line per round. 128 frames of one client at a time, as one socket read delivers them.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { LIMITS } from '../../core-broker/base/index.ts';
import { brokerConfig } from '../../core-broker/broker/index.ts';
import { encodeHost } from '../../core-broker/protocol/index.ts';
import { FrameReader, type ServerConnection } from '../../core-broker/remoting/index.ts';
import { openSendParts } from '../support/send-parts.ts';
import { tempFolder } from '../support/store-options.ts';
import { FrameWindow } from './send-frames.ts';

const [header = 'binary', bodyBytes = '128', count = '1000000'] = process.argv.slice(2);
const ROUNDS = 4;
const PER_READ = 128;
const READS_PER_TURN = 8;
const QUEUES = 8;

/** A connection that counts what is written and throws it away. */
function silentConnection(): ServerConnection {
  const buffer = Buffer.alloc(1024 * 1024);
  return {
    id: 1,
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    localPort: 2,
    bornHost: encodeHost('127.0.0.1', 1),
    isOpen: true,
    attachment: undefined,
    output: { buffer, unsentBytes: 0 },
    write: (bytes: Buffer) => void buffer.set(bytes, 0),
    reserve: () => 0,
    respond: (_opaque: number, response: { code?: number }) => {
      throw new Error(`refused: ${JSON.stringify(response)}`);
    },
    pause: () => undefined,
    resume: () => undefined,
  } as unknown as ServerConnection;
}

const folder = tempFolder();
const config = brokerConfig({ storePathRootDir: path.join(folder, 'store') });
const parts = await openSendParts(config);
const { store, dispatcher } = parts;
const connection = silentConnection();
dispatcher.onOpen(connection);
const shape = {
  isBinary: header === 'binary',
  topic: 'BenchmarkTest',
  bodyBytes: Number(bodyBytes),
};
const frames = new FrameWindow(shape, PER_READ, QUEUES);
const reader = new FrameReader(
  (chunk, start, end) => dispatcher.onFrame(connection, chunk, start, end),
  LIMITS.frameBytesMax,
  { usedBytes: 0, maxBytes: LIMITS.frameBytesMax },
  (chunk, start, end) => dispatcher.onFrames(connection, chunk, start, end),
);
let sequence = 0;

function oneRead(): void {
  for (let slot = 0; slot < PER_READ; slot++) frames.patch(slot, sequence++);
  reader.push(frames.bytes);
  dispatcher.onBatchEnd();
}

try {
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    const from = sequence;
    while (sequence - from < Number(count)) {
      for (let i = 0; i < READS_PER_TURN; i++) oneRead();
      await store.durable(store.storeBounds().maxOffset);
    }
    const cpu = process.cpuUsage(before);
    const each = (us: number) => Number((us / (sequence - from)).toFixed(3));
    const line = { header, bodyBytes, userUs: each(cpu.user), systemUs: each(cpu.system) };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
} finally {
  await parts.close();
  fs.rmSync(folder, { recursive: true });
}
