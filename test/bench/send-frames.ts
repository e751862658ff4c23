// The SEND frames of the benches: one frame as a Java or Go client writes it, built once per slot of a
// window and patched in place before it is sent again.
import { encodeRequest, formatMessageProperties } from '../../core-broker/protocol/index.ts';

const OPAQUE_BASE = 1_000_000_000;
const OPAQUE_SPAN = 1_000_000_000;
const KEY_MARK = 'FFFFFFFF';
const BINARY_OPAQUE_AT = 13;

export interface FrameShape {
  isBinary: boolean;
  topic: string;
  bodyBytes: number;
}

export function buildSendFrame(shape: FrameShape, queueId: number): Buffer {
  const properties = formatMessageProperties([
    ['KEYS', 'order-00000001'],
    ['UNIQ_KEY', `7F0000010001000000000000${KEY_MARK}`],
    ['WAIT', 'true'],
    ['TAGS', 'TagA'],
    ['TRACE_ID', '00000000000000000000000000'],
  ]);
  const ext = {
    a: 'bench_producer_group',
    b: shape.topic,
    c: 'TBW102',
    d: '4',
    e: String(queueId),
    f: '0',
    g: String(Date.now()),
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    m: 'false',
    n: 'broker-a',
  };
  const body = Buffer.alloc(shape.bodyBytes, 'x');
  const header = shape.isBinary ? 'ROCKETMQ' : 'JSON';
  return encodeRequest({ code: 310, ext, body }, OPAQUE_BASE, { header, version: 479 });
}

/** A ring of frames of one size, each with the opaque and the unique key of its own send. */
export class FrameWindow {
  readonly size: number;
  readonly bytes: Buffer;
  readonly #isBinary: boolean;
  readonly #opaqueAt: number;
  readonly #keyAt: number;

  constructor(shape: FrameShape, window: number, queues: number) {
    const frames = Array.from({ length: window }, (_, i) => buildSendFrame(shape, i % queues));
    this.size = frames[0]?.length ?? 0;
    this.bytes = Buffer.concat(frames);
    this.#isBinary = shape.isBinary;
    this.#opaqueAt = shape.isBinary ? BINARY_OPAQUE_AT : this.bytes.indexOf(String(OPAQUE_BASE));
    this.#keyAt = this.bytes.indexOf(KEY_MARK);
  }

  /** Makes slot `slot` the send number `sequence`. */
  patch(slot: number, sequence: number): void {
    const at = slot * this.size;
    const id = sequence % OPAQUE_SPAN;
    if (this.#isBinary) this.bytes.writeInt32BE(id, at + this.#opaqueAt);
    else writeDigits(this.bytes, at + this.#opaqueAt, OPAQUE_BASE + id);
    writeHexDigits(this.bytes, at + this.#keyAt, id);
  }
}

function writeDigits(bytes: Buffer, at: number, value: number): void {
  let rest = value;
  for (let i = 9; i >= 0; i--) {
    const next = Math.floor(rest / 10);
    bytes[at + i] = 0x30 + rest - next * 10;
    rest = next;
  }
}

function writeHexDigits(bytes: Buffer, at: number, value: number): void {
  for (let i = 7, rest = value; i >= 0; i--, rest >>>= 4) {
    const digit = rest & 15;
    bytes[at + i] = digit < 10 ? 0x30 + digit : 0x37 + digit;
  }
}
