// The yardstick of the broker bench: the product's own socket layer, a walk over the frames, one fixed
// answer per frame, memory of reads given back as the broker does. Whatever a broker adds shows as a ratio to this.
//   node test/bench/null-server.ts PORT [events|reused]     prints {"port":N} when it listens
import { encodeResponse } from '../../core-broker/protocol/index.ts';
import {
  type FrameListener,
  RemotingServer,
  type ServerConnection,
} from '../../core-broker/remoting/index.ts';

const [port = '0', receive = 'events'] = process.argv.slice(2);

const ANSWER = encodeResponse(1, {
  code: 0,
  ext: {
    msgId: '7F00000100002A9F0000000000000000',
    queueId: '0',
    queueOffset: '0',
    transactionId: '7F0000010001000000000000FFFFFFFF',
  },
});

function answer(connection: ServerConnection): void {
  const at = connection.reserve(ANSWER.length);
  connection.output.buffer.set(ANSWER, at);
}

const listener: FrameListener = {
  onFrame: answer,
  /** As a broker does: what was taken in a run lets the chunk go at once. */
  onFrames(connection, chunk, start, end) {
    let at = start;
    while (end - at >= 4) {
      const next = at + 4 + chunk.readInt32BE(at);
      if (next > end) break;
      answer(connection);
      at = next;
    }
    return at;
  },
};

const server = new RemotingServer({
  host: '127.0.0.1',
  port: Number(port),
  listener,
  receive: receive === 'reused' ? 'reused' : 'events',
});
process.stdout.write(`${JSON.stringify({ port: await server.listen() })}\n`);
process.on('SIGTERM', () => process.exit(0));
