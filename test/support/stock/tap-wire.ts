// Requests over plain sockets with every frame kept as it was on the wire: for recording a stock server's
// answers and for sending recorded requests again. One connection per address; a connection dies with
// its server and the next request opens a new one.
import * as net from 'node:net';
import {
  decodeCommand,
  encodeRequest,
  encodeResponse,
  isResponse,
  type RemotingCommand,
  type RequestInit,
} from '../../../core-broker/protocol/index.ts';

const ANSWER_MS = 20_000;

/** One recorded exchange; both frames in hex, length word included. */
export interface Exchange {
  name: string;
  /** Which server was asked. */
  at: 'broker' | 'nameserver';
  request: string;
  response: string;
}

interface Waiting {
  resolve: (frame: Buffer) => void;
  reject: (reason: Error) => void;
}

interface Line {
  socket: net.Socket;
  waiting: Map<number, Waiting>;
}

export class TapWire {
  readonly #lines = new Map<string, Promise<Line>>();
  readonly exchanges: Exchange[] = [];
  /** Answers requests of the server: the body for this code. Others are left unanswered. */
  readonly answers = new Map<number, string>();
  #opaque = 1;

  async invoke(address: string, init: RequestInit): Promise<RemotingCommand> {
    const frame = await this.exchange(address, encodeRequest(init, this.#opaque++));
    return decodeCommand(frame, 0, frame.length);
  }

  /** As invoke, but a code other than 0 is an error. */
  async call(address: string, init: RequestInit): Promise<RemotingCommand> {
    const answer = await this.invoke(address, init);
    if (answer.code === 0) return answer;
    throw new Error(`${address} answered ${answer.code} to ${init.code}: ${answer.remark}`);
  }

  /** As invoke, and both frames are kept under this name. */
  async record(
    name: string,
    [at, address]: ['broker' | 'nameserver', string],
    init: RequestInit,
  ): Promise<RemotingCommand> {
    const request = encodeRequest(init, this.#opaque++);
    const response = await this.exchange(address, request);
    const [sent, got] = [request.toString('hex'), response.toString('hex')];
    this.exchanges.push({ name, at, request: sent, response: got });
    return decodeCommand(response, 0, response.length);
  }

  /** Sends one whole request frame and gives the frame that answers it. */
  async exchange(address: string, request: Buffer): Promise<Buffer> {
    const { opaque } = decodeCommand(request, 0, request.length);
    const line = await this.#line(address);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        line.waiting.delete(opaque);
        reject(new Error(`${address}: no answer`));
      }, ANSWER_MS);
      const settle =
        <T>(end: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          line.waiting.delete(opaque);
          end(value);
        };
      line.waiting.set(opaque, { resolve: settle(resolve), reject: settle(reject) });
      line.socket.write(request);
    });
  }

  close(): void {
    for (const line of this.#lines.values()) {
      line.then(
        ({ socket }) => socket.destroy(),
        () => undefined,
      );
    }
    this.#lines.clear();
  }

  #line(address: string): Promise<Line> {
    const known = this.#lines.get(address);
    if (known !== undefined) return known;
    const opened = open(address, {
      onClose: () => this.#lines.delete(address),
      answers: this.answers,
    });
    this.#lines.set(address, opened);
    opened.catch(() => this.#lines.delete(address));
    return opened;
  }
}

async function open(
  address: string,
  { onClose, answers }: { onClose: () => void; answers: ReadonlyMap<number, string> },
): Promise<Line> {
  const [host = '', port = ''] = address.split(':');
  const socket = net.connect({ host, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const waiting = new Map<number, Waiting>();
  let pending = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    onClose();
    for (const one of [...waiting.values()]) one.reject(new Error(`${address} closed`));
  });
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 4 && pending.length >= pending.readInt32BE(0) + 4) {
      const end = pending.readInt32BE(0) + 4;
      const frame = Buffer.from(pending.subarray(0, end));
      pending = pending.subarray(end);
      const command = decodeCommand(frame, 0, frame.length);
      if (isResponse(command)) waiting.get(command.opaque)?.resolve(frame);
      const body = isResponse(command) ? undefined : answers.get(command.code);
      if (body !== undefined) socket.write(encodeResponse(command.opaque, { code: 0, body }));
    }
  });
  return { socket, waiting };
}
