// A connection of a server without a socket: the real frame reader, connection and output queue on both
// sides of a listener, with a socket that takes every byte at once. What the server writes is read as a
// client reads it: a frame that cannot be decoded is a finding.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { LIMITS } from '../../../core-broker/base/index.ts';
import {
  decodeCommand,
  isResponse,
  type RemotingCommand,
} from '../../../core-broker/protocol/index.ts';
import { type FrameListener, FrameReader } from '../../../core-broker/remoting/index.ts';
import { AcceptedConnection } from '../../../core-broker/remoting/server-connection.ts';

type Done = (reason?: Error | null) => void;

class FakeSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 40_000;
  readonly localPort = 10_911;
  readonly #take: (bytes: Buffer) => void;
  #isDestroyed = false;

  constructor(take: (bytes: Buffer) => void) {
    super();
    this.#take = take;
  }

  write(bytes: Buffer, done?: Done): boolean {
    this.#take(bytes);
    if (done) process.nextTick(done);
    return true;
  }

  cork(): this {
    return this;
  }
  uncork(): this {
    return this;
  }
  pause(): this {
    return this;
  }
  resume(): this {
    return this;
  }

  destroy(): this {
    if (!this.#isDestroyed) process.nextTick(() => this.emit('close'));
    this.#isDestroyed = true;
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }
}

export interface FakeConnection {
  readonly connection: AcceptedConnection;
  /** Answers so far: opaque -> how often. */
  readonly answers: Map<number, number>;
  readonly last: { answer: RemotingCommand | undefined };
  /** The client side: one read of the server. */
  send(bytes: Buffer): void;
}

/** @param problem told of output no client could read */
export function fakeConnection(
  listener: FrameListener,
  problem: (text: string) => void,
): FakeConnection {
  const answers = new Map<number, number>();
  const last: FakeConnection['last'] = { answer: undefined };
  const budget = () => ({ usedBytes: 0, maxBytes: LIMITS.frameBytesMax * 4 });
  const reader = new FrameReader(
    (chunk, start, end) => {
      const command = decodeCommand(chunk, start, end);
      if (!isResponse(command)) return;
      last.answer = command;
      answers.set(command.opaque, (answers.get(command.opaque) ?? 0) + 1);
    },
    LIMITS.frameBytesMax * 2,
    budget(),
  );
  const socket = new FakeSocket((bytes) => {
    try {
      reader.push(bytes);
    } catch (reason) {
      problem(`unreadable answer: ${String(reason)}`);
    }
  });
  const connection = new AcceptedConnection(socket as unknown as Socket, {
    listener,
    frameBytesMax: LIMITS.frameBytesMax,
    outputBytesMax: LIMITS.connectionOutputBytesMax,
    partial: budget(),
    onGone: () => undefined,
  });
  connection.opened();
  return {
    connection,
    answers,
    last,
    send: (bytes) => void connection.receive(bytes, bytes.length),
  };
}
