// A plain socket that speaks frames: for tests that write bytes no client would.
import * as net from 'node:net';
import { decodeCommand, type RemotingCommand } from '../../core-broker/protocol/index.ts';

export interface RawConnection {
  readonly socket: net.Socket;
  /** True once the other side closed it. */
  readonly isClosed: boolean;
  write(bytes: Buffer): void;
  /** One frame with this header text. */
  writeFrame(header: string, body?: Buffer): void;
  /** Next whole frame. Rejects when the connection closes first. */
  next(): Promise<RemotingCommand>;
  closed(): Promise<void>;
  close(): void;
}

export async function rawConnection(address: string): Promise<RawConnection> {
  const [host = '', port = ''] = address.split(':');
  const socket = net.connect(Number(port), host);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  let pending = Buffer.alloc(0);
  let isClosed = false;
  const waiting: { resolve: (c: RemotingCommand) => void; reject: (e: Error) => void }[] = [];
  const frames: RemotingCommand[] = [];
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    isClosed = true;
    for (const one of waiting.splice(0)) one.reject(new Error('closed'));
  });
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 4 && pending.length >= pending.readInt32BE(0) + 4) {
      const end = pending.readInt32BE(0) + 4;
      const frame = decodeCommand(pending, 0, end);
      pending = pending.subarray(end);
      const one = waiting.shift();
      if (one) one.resolve(frame);
      else frames.push(frame);
    }
  });
  return {
    socket,
    get isClosed() {
      return isClosed;
    },
    write: (bytes) => void socket.write(bytes),
    writeFrame: (header, body = Buffer.alloc(0)) => {
      const text = Buffer.from(header);
      const prefix = Buffer.alloc(8);
      prefix.writeInt32BE(4 + text.length + body.length, 0);
      prefix.writeInt32BE(text.length, 4);
      socket.write(Buffer.concat([prefix, text, body]));
    },
    next: () => {
      const ready = frames.shift();
      if (ready) return Promise.resolve(ready);
      if (isClosed) return Promise.reject(new Error('closed'));
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    closed: () => closed,
    close: () => socket.destroy(),
  };
}
