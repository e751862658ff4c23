// A client's connection without a socket: what the server writes is kept as bytes.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { LIMITS } from '../../core-broker/base/index.ts';
import type { FrameListener } from '../../core-broker/remoting/index.ts';
import { AcceptedConnection } from '../../core-broker/remoting/server-connection.ts';

type Done = (reason?: Error | null) => void;

export interface Line {
  readonly connection: AcceptedConnection;
  /** One read of the server. */
  send(bytes: Buffer): void;
  /** What the server wrote since the last call. */
  takeAnswers(): Buffer;
}

class KeepingSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 40_000;
  readonly localPort = 10_911;
  readonly pieces: Buffer[] = [];

  write(bytes: Buffer, done?: Done): boolean {
    this.pieces.push(Buffer.from(bytes));
    if (done) process.nextTick(done);
    return true;
  }

  readonly cork = (): this => this;
  readonly uncork = (): this => this;
  readonly pause = (): this => this;
  readonly resume = (): this => this;

  destroy(): this {
    this.emit('close');
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }
}

export function openLine(listener: FrameListener): Line {
  const socket = new KeepingSocket();
  const connection = new AcceptedConnection(socket as unknown as Socket, {
    listener,
    frameBytesMax: LIMITS.frameBytesMax,
    outputBytesMax: LIMITS.connectionOutputBytesMax,
    partial: { usedBytes: 0, maxBytes: LIMITS.frameBytesMax * 4 },
    onGone: () => undefined,
  });
  connection.opened();
  return {
    connection,
    send: (bytes) => void connection.receive(bytes, bytes.length),
    takeAnswers: () => Buffer.concat(socket.pieces.splice(0)),
  };
}
