// One connection of the pull load: pulls out as bytes, answers in through one reused buffer. Of an
// answer only the header is looked at; the body is counted by its length and never copied, so that the
// server is what gets measured. Answers are matched by opaque, one waiting request per number.
import * as net from 'node:net';
import { parseAddress } from '../../../core-broker/protocol/index.ts';

const RECEIVE_BYTES = 256 * 1024;
const PREFIX_BYTES = 8;
const HEADER_BYTES_MAX = 16 * 1024;

/** What an answer says; a reused object. */
export interface Answer {
  code: number;
  remark: string | undefined;
  ext: Record<string, string>;
  bodyBytes: number;
}

export type OnAnswer = (answer: Answer) => void;

export class PullLane {
  readonly #socket: net.Socket;
  readonly #waiting = new Map<number, OnAnswer>();
  /** Length words and header of the frame under way. */
  readonly #head = Buffer.alloc(PREFIX_BYTES + HEADER_BYTES_MAX);
  #headBytes = 0;
  #headWanted = PREFIX_BYTES;
  #bodyLeft = 0;
  #opaque = 0;
  #out = '';

  constructor(target: string) {
    const { host, port } = parseAddress(target);
    this.#socket = net.connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
        callback: (size, bytes) => {
          this.#take(bytes as Buffer, size);
          this.#flush();
          return true;
        },
      },
    });
    this.#socket.on('error', (reason) => {
      process.stderr.write(`${reason.message}\n`);
      process.exit(1);
    });
  }

  /** Sends a request; what is sent during one read leaves in one write. */
  ask(code: number, ext: Record<string, unknown>, onAnswer: OnAnswer): void {
    const opaque = this.#opaque++;
    this.#waiting.set(opaque, onAnswer);
    const header = JSON.stringify({
      code,
      extFields: ext,
      flag: 0,
      language: 'JAVA',
      opaque,
      serializeTypeCurrentRPC: 'JSON',
      version: 505,
    });
    if (this.#out === '') queueMicrotask(() => this.#flush());
    const words = Buffer.alloc(PREFIX_BYTES);
    words.writeInt32BE(header.length + 4, 0);
    words.writeInt32BE(header.length, 4);
    this.#out += words.toString('latin1') + header;
  }

  close(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    if (this.#out === '') return;
    this.#socket.write(this.#out, 'latin1');
    this.#out = '';
  }

  #take(chunk: Buffer, end: number): void {
    for (let at = 0; at < end; ) {
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, end - at);
        this.#bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const taken = Math.min(this.#headWanted - this.#headBytes, end - at);
      chunk.copy(this.#head, this.#headBytes, at, at + taken);
      this.#headBytes += taken;
      at += taken;
      if (this.#headBytes === this.#headWanted) this.#onHead();
    }
  }

  #onHead(): void {
    const head = this.#head;
    const headerBytes = head.readInt32BE(4) & 0xffffff;
    if (this.#headWanted === PREFIX_BYTES) {
      this.#headWanted = PREFIX_BYTES + headerBytes;
      return;
    }
    const bodyBytes = head.readInt32BE(0) - 4 - headerBytes;
    const header = JSON.parse(head.toString('utf8', PREFIX_BYTES, this.#headWanted));
    this.#headBytes = 0;
    this.#headWanted = PREFIX_BYTES;
    this.#bodyLeft = bodyBytes;
    const onAnswer = this.#waiting.get(header.opaque);
    this.#waiting.delete(header.opaque);
    const { code, remark, extFields: ext = {} } = header;
    onAnswer?.({ code, remark, ext, bodyBytes });
  }
}
