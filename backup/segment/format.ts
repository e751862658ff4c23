// The bytes of one segment object. Pure. Big-endian.
//   header 48: magic "DRSG" | version 2 | flags 2 (1 = sealed) | frames 4 | rawBytes 4 | salt 16 | zero 16
//   index  48 per frame: offset 4 (from the first frame) | stored 4 | raw 4 | crc32 of stored 4 | digest 32
//   frames, back to back: zstd of ≤ 4 MiB of input each; sealed frames are AES-256-GCM of that + tag 16
// The one idea: the object's id is SHA-256(header + index) and its key is made of the id. So the key
// vouches for the index, the index for every frame: digest = SHA-256 of the raw bytes (sealed: an HMAC
// of it), crc32 finds any flipped stored byte, even one that zstd would not notice.
// Invariant: frames are cut by the index and decoded one by one; never decode frames concatenated:
// zlib may stop after the first without an error.
import { createHash } from 'node:crypto';
import { DrError } from '../../core-broker/base/errors.ts';

export const SEGMENT_VERSION = 1;
export const HEADER_BYTES = 48;
export const INDEX_ENTRY_BYTES = 48;
export const FRAME_BYTES = 4 * 1024 * 1024;
/** Input bytes per object: what a worker holds, and the unit of a resume. */
export const SEGMENT_BYTES = 32 * 1024 * 1024;
const MAGIC = 0x44525347;
const SEALED = 1;

export interface FrameEntry {
  /** From the first frame byte. */
  offset: number;
  storedBytes: number;
  rawBytes: number;
  crc: number;
  digest: Buffer;
}

export interface SegmentHead {
  isSealed: boolean;
  rawBytes: number;
  salt: Buffer;
  frames: FrameEntry[];
  /** Object offset of the first frame. */
  payloadStart: number;
}

/** Header alone, as sealed frames authenticate it. */
export function encodeHeader(head: Pick<SegmentHead, 'isSealed' | 'rawBytes' | 'salt'>, n: number) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt16BE(SEGMENT_VERSION, 4);
  header.writeUInt16BE(head.isSealed ? SEALED : 0, 6);
  header.writeUInt32BE(n, 8);
  header.writeUInt32BE(head.rawBytes, 12);
  head.salt.copy(header, 16);
  return header;
}

/** Header and index. */
export function encodeHead(head: SegmentHead): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + head.frames.length * INDEX_ENTRY_BYTES);
  encodeHeader(head, head.frames.length).copy(bytes);
  head.frames.forEach((frame, i) => {
    const at = HEADER_BYTES + i * INDEX_ENTRY_BYTES;
    bytes.writeUInt32BE(frame.offset, at);
    bytes.writeUInt32BE(frame.storedBytes, at + 4);
    bytes.writeUInt32BE(frame.rawBytes, at + 8);
    bytes.writeUInt32BE(frame.crc, at + 12);
    frame.digest.copy(bytes, at + 16);
  });
  return bytes;
}

/** Id of the object that starts with `head`. */
export const segmentId = (head: Uint8Array): string =>
  createHash('sha256').update(head).digest('hex');

/**
 * Reads header and index and proves them by the id.
 * @throws DrError CORRUPT when the object is not the one `id` names, or its length lies
 */
export function decodeHead(object: Buffer, id: string): SegmentHead {
  if (object.length < HEADER_BYTES || object.readUInt32BE(0) !== MAGIC) {
    throw broken(id, 'not a segment');
  }
  if (object.readUInt16BE(4) !== SEGMENT_VERSION) {
    throw broken(id, `segment version ${object.readUInt16BE(4)} is not known`);
  }
  const count = object.readUInt32BE(8);
  const payloadStart = HEADER_BYTES + count * INDEX_ENTRY_BYTES;
  if (payloadStart > object.length) throw broken(id, 'cut off');
  if (segmentId(object.subarray(0, payloadStart)) !== id) throw broken(id, 'its index is damaged');
  const head: SegmentHead = {
    isSealed: (object.readUInt16BE(6) & SEALED) !== 0,
    rawBytes: object.readUInt32BE(12),
    salt: object.subarray(16, 32),
    frames: Array.from({ length: count }, (_, i) =>
      decodeEntry(object, HEADER_BYTES + i * INDEX_ENTRY_BYTES),
    ),
    payloadStart,
  };
  const last = head.frames.at(-1);
  const end = last ? payloadStart + last.offset + last.storedBytes : payloadStart;
  if (end !== object.length) throw broken(id, `${object.length} bytes, ${end} expected`);
  return head;
}

function decodeEntry(object: Buffer, at: number): FrameEntry {
  return {
    offset: object.readUInt32BE(at),
    storedBytes: object.readUInt32BE(at + 4),
    rawBytes: object.readUInt32BE(at + 8),
    crc: object.readUInt32BE(at + 12),
    digest: object.subarray(at + 16, at + 48),
  };
}

export const broken = (id: string, why: string): DrError =>
  new DrError('CORRUPT', `segment ${id}: ${why}`, { context: { segment: id } });
