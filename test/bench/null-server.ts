// The yardstick of the broker bench: the product's own socket layer, a walk over the frames, one fixed
// answer per frame. Whatever a broker adds shows as a ratio to this.
//   node test/bench/null-server.ts PORT [events|reused]     prints {"port":N} when it listens
import { encodeResponse } from '../../core-broker/protocol/index.ts';
import { type FrameListener, RemotingServer } from '../../core-broker/remoting/index.ts';

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

const listener: FrameListener = {
  onFrame(connection) {
    const at = connection.reserve(ANSWER.length);
    connection.output.buffer.set(ANSWER, at);
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
