// A program that opens many connections and keeps them: node idle-clients.ts HOST PORT COUNT. Says `open`
// when all are, and closes them when its input ends.
import * as net from 'node:net';

const [host = '', port = '', count = ''] = process.argv.slice(2);
const WIDTH = 200;
const sockets: net.Socket[] = [];
let left = Number(count);

async function openMore(): Promise<void> {
  while (left > 0) {
    left--;
    const socket = net.connect(Number(port), host);
    socket.on('error', (reason) => {
      process.stderr.write(`${reason.message}\n`);
      process.exit(1);
    });
    await new Promise((done) => socket.once('connect', done));
    sockets.push(socket);
  }
}

await Promise.all(Array.from({ length: WIDTH }, openMore));
process.stdout.write('open\n');
process.stdin.resume().once('end', () => {
  for (const socket of sockets) socket.destroy();
});
