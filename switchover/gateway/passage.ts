// One client on its way through a gateway: its socket, the upstream its bytes go to, and the change from
// one upstream to another that the client does not see.
//   carrying -> leave(): a frame that has begun goes on to its end -> the client is held, RELEASE goes
//   upstream -> answers still pass, frame by frame -> the notice: what follows is the client's again
//   -> board(): those bytes first, then the client's next ones
// Invariants: bytes keep their order and none is dropped while both ends live; a byte goes to one
// upstream only. Back-pressure and half-close pass on as in remoting's splice. Source: ours.
import type { Socket } from 'node:net';
import { DrError, LIMITS } from '../../core-broker/base/index.ts';
import {
  decodeCommand,
  isResponse,
  parseJsonObject,
  RELEASE_OPAQUE,
} from '../../core-broker/protocol/index.ts';
import { FrameReader } from '../../core-broker/remoting/index.ts';
import { FrameWalk } from './frame-walk.ts';

/** A passage between two upstreams. */
interface Leaving {
  request: Buffer;
  /** Set at the end of a frame of the old upstream: from there on its frames are looked at. */
  reader: FrameReader | undefined;
  /** Bytes that the old upstream announced; undefined until it did. */
  announced: number | undefined;
  given: Buffer[];
  givenBytes: number;
  resolve(bytes: Buffer): void;
  reject(reason: DrError): void;
}

export class Passage {
  readonly client: Socket;
  /** Region of the upstream; '' before the first. */
  region = '';
  /** Upstream that is being connected. */
  next: Socket | undefined;
  #upstream: Socket | undefined;
  #sent = new FrameWalk();
  #received = new FrameWalk();
  #leaving: Leaving | undefined;
  #isHeld = true;
  #isHooked = false;

  constructor(client: Socket) {
    this.client = client;
  }

  /** True between leave() and the next board(). */
  get isLeaving(): boolean {
    return this.#leaving !== undefined;
  }

  /** Carries the client to `upstream` from now on; `first` goes before everything else. */
  board(upstream: Socket, region: string, first?: Buffer): void {
    this.#upstream = upstream;
    this.region = region;
    this.next = undefined;
    this.#leaving = undefined;
    this.#received = new FrameWalk();
    if (first !== undefined && first.length > 0) upstream.write(first);
    this.#hookUpstream(upstream);
    if (!this.#isHooked) this.#hookClient();
    this.#isHeld = false;
    if (upstream.destroyed) this.close();
    upstream.resume();
    this.client.resume();
  }

  /**
   * Asks the upstream to give the client back, with a signed RELEASE.
   * @returns whole frames that were sent there and not acted on
   * @throws DrError NETWORK (it closed), REFUSED, PROTOCOL: the client can only be cut
   */
  leave(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#leaving = {
        request,
        reader: undefined,
        announced: undefined,
        given: [],
        givenBytes: 0,
        resolve,
        reject,
      };
      if (this.#sent.isLost || this.#received.isLost) this.#fail('PROTOCOL', 'no frames to count');
      else if (this.#sent.isAtBoundary) this.#ask();
    });
  }

  close(): void {
    this.#fail('NETWORK', 'the passage was closed');
    this.client.destroy();
    this.#upstream?.destroy();
    this.next?.destroy();
  }

  #hookClient(): void {
    const { client } = this;
    this.#isHooked = true;
    client.allowHalfOpen = true;
    client.on('data', (chunk: Buffer) => this.#onRequest(chunk));
    client.on('drain', () => this.#upstream?.resume());
    client.on('end', () => this.#upstream?.end());
  }

  #hookUpstream(upstream: Socket): void {
    upstream.allowHalfOpen = true;
    const whilePresent = (act: () => void) => () => {
      if (this.#upstream === upstream) act();
    };
    upstream.on('data', (chunk: Buffer) => {
      if (this.#upstream === upstream) this.#onAnswer(upstream, chunk);
    });
    upstream.on(
      'drain',
      whilePresent(() => {
        if (!this.#isHeld) this.client.resume();
      }),
    );
    upstream.on(
      'end',
      whilePresent(() => {
        if (this.#leaving)
          this.#fail('PROTOCOL', 'the broker ended before it gave everything back');
        else this.client.end();
      }),
    );
    upstream.on('close', (hadError: boolean) => {
      if (this.#upstream !== upstream) return;
      this.#fail('NETWORK', 'the broker closed');
      // Why a reset: a stream that was cut must not look like one that ended.
      if (hadError) this.client.resetAndDestroy();
      else if (!this.client.writableEnded) this.client.destroy();
    });
  }

  #onRequest(chunk: Buffer): void {
    const upstream = this.#upstream;
    if (this.#leaving === undefined) {
      this.#sent.pass(chunk);
      upstream?.write(chunk);
    } else {
      const end = this.#sent.passOne(chunk, 0);
      upstream?.write(chunk.subarray(0, end));
      if (this.#sent.isLost) this.#fail('PROTOCOL', 'no frames to count');
      else if (this.#sent.isAtBoundary) {
        this.#ask();
        if (end < chunk.length) this.client.unshift(chunk.subarray(end));
      }
    }
    if ((upstream?.writableLength ?? 0) > LIMITS.relayBufferBytesMax) this.client.pause();
  }

  /** The last the old upstream hears; what the client sends next waits for the new one. */
  #ask(): void {
    this.#isHeld = true;
    this.client.pause();
    if (this.#leaving) this.#upstream?.write(this.#leaving.request);
  }

  #onAnswer(upstream: Socket, chunk: Buffer): void {
    if (this.#leaving === undefined) {
      this.#received.pass(chunk);
      this.client.write(chunk);
    } else this.#lookAt(this.#leaving, chunk);
    if (this.client.writableLength > LIMITS.relayBufferBytesMax) upstream.pause();
  }

  #lookAt(leaving: Leaving, chunk: Buffer): void {
    let rest = chunk;
    if (leaving.reader === undefined) {
      if (!this.#received.isAtBoundary) {
        const end = this.#received.passOne(chunk, 0);
        this.client.write(chunk.subarray(0, end));
        rest = chunk.subarray(end);
      }
      if (!this.#received.isAtBoundary) return;
      leaving.reader = this.#readerFor(leaving);
    }
    try {
      if (leaving.announced === undefined) leaving.reader.push(rest);
      else this.#take(leaving, rest);
    } catch (reason) {
      leaving.reject(DrError.from(reason));
    }
  }

  #readerFor(leaving: Leaving): FrameReader {
    const budget = { usedBytes: 0, maxBytes: LIMITS.partialFrameBytesMax };
    const reader: FrameReader = new FrameReader(
      (chunk, start, end) => {
        const command = decodeCommand(chunk, start, end);
        if (!isResponse(command) || command.opaque !== RELEASE_OPAQUE) {
          this.client.write(Buffer.from(chunk.subarray(start, end)));
          return;
        }
        const { bytes } = command.code === 0 ? parseJsonObject(command.body) : {};
        if (!Number.isSafeInteger(bytes) || Number(bytes) < 0) {
          this.#fail('REFUSED', `it was not given back: ${command.code} ${command.remark ?? ''}`);
          return;
        }
        leaving.announced = Number(bytes);
        this.#take(leaving, reader.stop());
      },
      LIMITS.frameBytesMax,
      budget,
    );
    return reader;
  }

  #take(leaving: Leaving, bytes: Buffer): void {
    leaving.given.push(bytes);
    leaving.givenBytes += bytes.length;
    const announced = leaving.announced ?? 0;
    if (leaving.givenBytes < announced) return;
    if (leaving.givenBytes > announced) {
      this.#fail('PROTOCOL', 'the broker gave back more than it said');
      return;
    }
    // Order: no event of the old upstream may reach the client from here on.
    const old = this.#upstream;
    this.#upstream = undefined;
    old?.destroy();
    leaving.resolve(Buffer.concat(leaving.given));
  }

  #fail(code: 'NETWORK' | 'PROTOCOL' | 'REFUSED', problem: string): void {
    this.#leaving?.reject(new DrError(code, problem));
  }
}
