// Message ids.
//   offsetMsgId  upper-case hex of store host (4 or 16 bytes), port int32, physical offset int64: 32 or 56 chars
//   UNIQ_KEY     made by clients: ip, pid int16, loader hash int32, ms since start of month int32, counter int16
// Both look alike; a UNIQ_KEY of other clients may have any length, so it is treated as opaque text.
// Source: MessageDecoder.createMessageId, MessageClientIDSetter.
import { DrError } from '../../base/index.ts';
import { decodeHost, type HostPort } from './host.ts';
import { readInt64, writeInt64 } from './int64.ts';

const HEX = Uint8Array.from('0123456789ABCDEF', (c) => c.charCodeAt(0));
/** Two ASCII hex digits of each byte. */
const HEX_PAIRS = new Uint16Array(256);
for (let n = 0; n < 256; n++) HEX_PAIRS[n] = (HEX[n >> 4]! << 8) | HEX[n & 15]!;

/** offsetMsgId of a record. @param storeHost record form, 8 or 20 bytes */
export function formatOffsetMsgId(storeHost: Buffer, physicalOffset: number): string {
  const bytes = Buffer.allocUnsafe(storeHost.length + 8);
  storeHost.copy(bytes);
  writeInt64(bytes, physicalOffset, storeHost.length);
  return bytes.toString('hex').toUpperCase();
}

/** @throws DrError USAGE when `id` is not an offsetMsgId */
export function parseOffsetMsgId(id: string): HostPort & { physicalOffset: number } {
  if (!/^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{56})$/.test(id)) {
    throw new DrError('USAGE', `"${id}" is not an offset message id`);
  }
  const bytes = Buffer.from(id, 'hex');
  const host = decodeHost(bytes, 0, bytes.length === 28);
  return { ...host, physicalOffset: readInt64(bytes, bytes.length - 8) };
}

/** Writes bytes [start, end) of `source` as upper-case hex at `at`: for reply templates. */
export function writeHex(
  target: Buffer,
  at: number,
  source: Buffer,
  range: { start: number; end: number },
): number {
  let p = at;
  for (let i = range.start; i < range.end; i++) {
    const pair = HEX_PAIRS[source[i]!]!;
    target[p++] = pair >> 8;
    target[p++] = pair & 0xff;
  }
  return p;
}

/** Writes a non-negative safe integer as 16 upper-case hex digits: the offset part of an offsetMsgId. */
export function writeHex64(target: Buffer, at: number, value: number): number {
  const high = Math.floor(value / 0x1_0000_0000);
  writeHexWord(target, at, high);
  writeHexWord(target, at + 8, value >>> 0);
  return at + 16;
}

function writeHexWord(target: Buffer, at: number, word: number): void {
  for (let shift = 24, p = at; shift >= 0; shift -= 8, p += 2) {
    const pair = HEX_PAIRS[(word >>> shift) & 0xff]!;
    target[p] = pair >> 8;
    target[p + 1] = pair & 0xff;
  }
}

/**
 * Makes UNIQ_KEYs as clients do, for producers of ours and for messages that came without one.
 * Unique per process as long as fewer than 65536 ids are made per ms.
 */
export class UniqKeyMaker {
  readonly #prefix: string;
  readonly #monthStartMs: number;
  #counter = 0;

  /** @param ip 4 or 16 address bytes */
  constructor(from: { ip: Uint8Array; pid: number; salt: number; nowMs: number }) {
    const fixed = Buffer.alloc(from.ip.length + 6);
    fixed.set(from.ip);
    fixed.writeUInt16BE(from.pid & 0xffff, from.ip.length);
    fixed.writeInt32BE(from.salt | 0, from.ip.length + 2);
    this.#prefix = fixed.toString('hex').toUpperCase();
    const now = new Date(from.nowMs);
    this.#monthStartMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
  }

  make(nowMs: number): string {
    this.#counter = (this.#counter + 1) & 0xffff;
    const since = ((nowMs - this.#monthStartMs) & 0xffffffff) >>> 0;
    const tail = since.toString(16).padStart(8, '0') + this.#counter.toString(16).padStart(4, '0');
    return this.#prefix + tail.toUpperCase();
  }
}
