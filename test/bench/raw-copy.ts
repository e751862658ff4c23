// The yardstick of the link bench: the same bytes by the barest two processes Node can make of it.
// send: 1 MiB reads, two in flight, onto one socket. receive: one reused buffer, each read written as it
// is to fresh files of one size. Nothing is looked at, nothing is synced.
//   node raw-copy.ts receive FOLDER FILE_BYTES        prints {"port":N}, ends when the sender ends and
//                                                     says its CPU time, {"cpuUs":N}
//   node raw-copy.ts send HOST:PORT FILE...
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

const READ_BYTES = 1024 * 1024;
const RECEIVE_BYTES = 256 * 1024;
const [mode = '', target = '', ...rest] = process.argv.slice(2);

async function send(): Promise<void> {
  const at = target.lastIndexOf(':');
  const socket = net.connect({ host: target.slice(0, at), port: Number(target.slice(at + 1)) });
  await once(socket, 'connect');
  for (const name of rest) await sendFile(socket, await fs.promises.open(name, 'r'));
  socket.end();
  await once(socket, 'close');
}

async function sendFile(socket: net.Socket, file: fs.promises.FileHandle): Promise<void> {
  const { size } = await file.stat();
  const read = (position: number) =>
    file.read(Buffer.allocUnsafeSlow(READ_BYTES), 0, READ_BYTES, position);
  let ahead = read(0);
  for (let position = 0; position < size; ) {
    const { buffer, bytesRead } = await ahead;
    position += bytesRead;
    ahead = read(position);
    if (!socket.write(buffer.subarray(0, bytesRead))) await once(socket, 'drain');
  }
  await ahead;
  await file.close();
}

function receive(): void {
  const fileBytes = Number(rest[0]);
  let end = 0;
  let fd = -1;
  const take = (bytes: Buffer, length: number) => {
    for (let at = 0; at < length; ) {
      const inFile = end % fileBytes;
      if (inFile === 0) fd = fs.openSync(path.join(target, String(end).padStart(20, '0')), 'w');
      const count = Math.min(length - at, fileBytes - inFile);
      const done = fs.writeSync(fd, bytes, at, count, inFile);
      at += done;
      end += done;
      if (end % fileBytes === 0) fs.closeSync(fd);
    }
  };
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    const { _handle: handle } = accepted as unknown as { _handle: unknown };
    const options = {
      handle,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
        callback: (length: number, bytes: Uint8Array) => {
          take(bytes as Buffer, length);
          return true;
        },
      },
    };
    const socket = new net.Socket(options as unknown as net.SocketConstructorOpts);
    socket.on('end', () => {
      const { user, system } = process.cpuUsage();
      console.log(JSON.stringify({ cpuUs: user + system }));
      server.close();
      socket.destroy();
    });
    socket.resume();
  });
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ port: (server.address() as net.AddressInfo).port }));
  });
}

if (mode === 'send') await send();
else receive();
