// Reads the classic HA stream out of receive chunks, whatever way TCP cut it.
//   frame = int64 phyOffset | int32 size | size bytes; size 0 = heartbeat
// Bytes are handed on as views of the chunk, at once, also when their frame is not complete: a record
// may be split anyway, and the sink takes any bytes that continue the log.
// Invariant: every frame starts exactly where the last one ended; anything else ends the connection.
// Source: RocketMQ HAConnection, layout only.
import { DrError } from '../../core-broker/base/index.ts';

export const HA_HEADER_BYTES = 12;
/** A stock slave's read buffer is 4 MiB; a larger frame is garbage. */
export const HA_FRAME_BYTES_MAX = 4 * 1024 * 1024;
const WORD = 2 ** 32;

export interface HaFrameListener {
  /** Log bytes at `offset`; valid during the call only. */
  onBytes(offset: number, bytes: Buffer): void;
}

export class HaFrameReader {
  readonly #listener: HaFrameListener;
  readonly #header = Buffer.alloc(HA_HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the open frame that are still to come. */
  #bodyLeft = 0;
  #next: number;

  /** @param next offset of the first byte the peer was asked for */
  constructor(next: number, listener: HaFrameListener) {
    this.#next = next;
    this.#listener = listener;
  }

  /** Offset of the next byte that is expected. */
  get next(): number {
    return this.#next;
  }

  /**
   * @param chunk first `length` bytes are new
   * @throws DrError PROTOCOL when the stream is no HA stream or jumps; what the listener throws
   */
  feed(chunk: Buffer, length: number): void {
    for (let at = 0; at < length; ) {
      at =
        this.#bodyLeft > 0
          ? this.#takeBody(chunk, at, length)
          : this.#takeHeader(chunk, at, length);
    }
  }

  #takeBody(chunk: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.#bodyLeft);
    const offset = this.#next;
    // Order: the listener may throw; the position moves only after it took the bytes.
    this.#listener.onBytes(offset, chunk.subarray(at, stop));
    this.#next = offset + (stop - at);
    this.#bodyLeft -= stop - at;
    return stop;
  }

  #takeHeader(chunk: Buffer, at: number, end: number): number {
    const taken = Math.min(end - at, HA_HEADER_BYTES - this.#headerBytes);
    chunk.copy(this.#header, this.#headerBytes, at, at + taken);
    this.#headerBytes += taken;
    if (this.#headerBytes === HA_HEADER_BYTES) {
      this.#headerBytes = 0;
      this.#open(readOffset(this.#header), this.#header.readInt32BE(8));
    }
    return at + taken;
  }

  #open(offset: number, size: number): void {
    if (size < 0 || size > HA_FRAME_BYTES_MAX) {
      throw new DrError('PROTOCOL', `HA frame of ${size} bytes: this is no HA stream`);
    }
    if (offset !== this.#next) {
      throw new DrError('PROTOCOL', `the source sent byte ${offset}, expected ${this.#next}`, {
        context: { offset, expected: this.#next },
      });
    }
    this.#bodyLeft = size;
  }
}

/** Signed int64; -1 stays -1, and is never a byte that is expected. */
const readOffset = (header: Buffer): number =>
  header.readInt32BE(0) * WORD + header.readUInt32BE(4);

/** A report: the end that is durable here, or the byte wanted first. */
export function encodeReport(offset: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(Math.floor(offset / WORD), 0);
  bytes.writeUInt32BE(offset % WORD, 4);
  return bytes;
}
