// Builds and opens segment objects. Synchronous: runs in worker threads (and for small files in place).
// zstdCompressSync per 4 MiB frame: the streaming API is slower, and more than one zstd thread
// outside the sync API loses data without an error in this Node line.
import { createHash, hash } from 'node:crypto';
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { DrError } from '../../core-broker/base/errors.ts';
import {
  broken,
  decodeHead,
  encodeHead,
  encodeHeader,
  FRAME_BYTES,
  type FrameEntry,
  HEADER_BYTES,
  type SegmentHead,
  segmentId,
} from './format.ts';
import { createSealer, equalDigest, keyedDigest, type RepositoryKey, segmentSalt } from './seal.ts';

export interface BuildOptions {
  level: number;
  key: RepositoryKey | undefined;
}

export interface BuiltSegment {
  id: string;
  object: Uint8Array;
}

/** Fills `into` with the raw bytes at an offset; asked front to back, without a gap. */
export type ReadRaw = (into: Buffer, offset: number) => void;

const NO_SALT = Buffer.alloc(16);
/** Room for the worst frame: with less zstd copies its input before it begins. */
const roomFor = (rawBytes: number): number => rawBytes + (rawBytes >>> 7) + 1024;
/** Read, hashed and proven at once: they stay in the processor's cache from one to the next. */
const PIECE_BYTES = 256 * 1024;

/** Memory that is used again, raw and packed: fresh pages cost more than the copy into them. */
const scratch: { frame: Buffer; packed: Buffer } = {
  frame: Buffer.alloc(0),
  packed: Buffer.alloc(0),
};

interface Packed {
  frames: Buffer[];
  rawLengths: number[];
  digests: Buffer[];
}

/** Compresses (and seals) `rawBytes` of input into one object. */
export function buildSegment(rawBytes: number, read: ReadRaw, options: BuildOptions): BuiltSegment {
  const packed = packFrames(rawBytes, read, options);
  const salt = options.key ? segmentSalt(options.key, Buffer.concat(packed.digests)) : NO_SALT;
  const base = { isSealed: options.key !== undefined, rawBytes, salt };
  if (options.key) sealFrames(packed, base, options.key);
  const head: SegmentHead = { ...base, frames: indexFrames(packed), payloadStart: 0 };
  const headBytes = encodeHead(head);
  const size = packed.frames.reduce((sum, frame) => sum + frame.length, headBytes.length);
  // Its own memory, never a pool's slice: a worker hands the whole buffer over.
  const object = new Uint8Array(new ArrayBuffer(size));
  object.set(headBytes, 0);
  let at = headBytes.length;
  for (const frame of packed.frames) {
    object.set(frame, at);
    at += frame.length;
  }
  return { id: segmentId(headBytes), object };
}

/** The frames lie in reused memory: gone with the next call. */
function packFrames(rawBytes: number, read: ReadRaw, options: BuildOptions): Packed {
  const packed: Packed = { frames: [], rawLengths: [], digests: [] };
  const frames = Math.ceil(rawBytes / FRAME_BYTES);
  scratch.packed = atLeast(scratch.packed, frames * roomFor(Math.min(FRAME_BYTES, rawBytes)));
  let storedBytes = 0;
  for (let at = 0; at < rawBytes; at += FRAME_BYTES) {
    const length = Math.min(FRAME_BYTES, rawBytes - at);
    scratch.frame = atLeast(scratch.frame, length);
    const raw = scratch.frame.subarray(0, length);
    const sha256 = createHash('sha256');
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const piece = raw.subarray(done, done + PIECE_BYTES);
      read(piece, at + done);
      sha256.update(piece);
    }
    packed.digests.push(digestOf(sha256.digest(), options.key));
    packed.rawLengths.push(length);
    const frame = compress(raw, options.level, scratch.packed.subarray(storedBytes));
    storedBytes += frame.length;
    packed.frames.push(frame);
  }
  return packed;
}

/**
 * Compresses into `into`.
 * Why the output is copied and given back: room for the worst case of each frame, left to the collector,
 * makes it run every 64 MiB of input.
 */
function compress(raw: Buffer, level: number, into: Buffer): Buffer {
  const chunkSize = roomFor(raw.length);
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  const packed = zstdCompressSync(raw, { params, chunkSize });
  into.set(packed);
  const { buffer, length } = packed;
  // Small outputs may be slices of a pool that others use.
  if (buffer.byteLength === chunkSize) (buffer as ArrayBuffer).transfer(0);
  return into.subarray(0, length);
}

const atLeast = (buffer: Buffer, length: number): Buffer =>
  buffer.length < length ? Buffer.allocUnsafeSlow(length) : buffer;

/** @param plain  SHA-256 of the raw bytes */
const digestOf = (plain: Buffer, key: RepositoryKey | undefined): Buffer =>
  key ? keyedDigest(key, 'frame', plain) : plain;

function sealFrames(
  packed: Packed,
  base: { isSealed: boolean; rawBytes: number; salt: Buffer },
  key: RepositoryKey,
): void {
  const frames = packed.frames.length;
  const header = encodeHeader(base, frames);
  const sealer = createSealer(key, base.salt);
  packed.frames = packed.frames.map((bytes, frame) =>
    sealer.seal(bytes, { header, salt: base.salt, frame, frames }),
  );
}

function indexFrames(packed: Packed): FrameEntry[] {
  let offset = 0;
  return packed.frames.map((frame, i) => {
    const entry: FrameEntry = {
      offset,
      storedBytes: frame.length,
      rawBytes: packed.rawLengths[i] ?? 0,
      crc: crc32(frame),
      digest: packed.digests[i] ?? Buffer.alloc(32),
    };
    offset += frame.length;
    return entry;
  });
}

/** Takes the raw bytes of one proven frame and where they belong; the buffer is reused. */
export type TakeRaw = (raw: Buffer, offset: number) => void;

/**
 * Opens every frame and proves it: index by id, stored bytes by CRC, raw bytes by length and digest.
 * @throws DrError CORRUPT naming segment and frame; AUTH when the object is sealed and no key was given
 */
export function openSegment(
  object: Buffer,
  expect: { id: string; key: RepositoryKey | undefined },
  take: TakeRaw,
): number {
  const head = decodeHead(object, expect.id);
  const { key, id } = expect;
  if (head.isSealed && !key) throw new DrError('AUTH', `segment ${id} is encrypted: key file?`);
  const sealer = head.isSealed && key ? createSealer(key, head.salt) : undefined;
  const header = object.subarray(0, HEADER_BYTES);
  let offset = 0;
  head.frames.forEach((entry, frame) => {
    const start = head.payloadStart + entry.offset;
    const stored = object.subarray(start, start + entry.storedBytes);
    if (crc32(stored) !== entry.crc) throw broken(id, `frame ${frame} is damaged`);
    const place = { header, salt: head.salt, frame, frames: head.frames.length };
    const packed = sealer ? sealer.open(stored, place, id) : stored;
    const raw = unpack(packed, entry, `${id}: frame ${frame}`);
    if (
      !equalDigest(digestOf(hash('sha256', raw, 'buffer'), sealer ? key : undefined), entry.digest)
    ) {
      throw broken(id, `frame ${frame} holds other bytes than were read`);
    }
    take(raw, offset);
    offset += raw.length;
  });
  if (offset !== head.rawBytes) throw broken(id, `${offset} bytes, ${head.rawBytes} expected`);
  return offset;
}

function unpack(packed: Buffer, entry: FrameEntry, what: string): Buffer {
  let raw: Buffer;
  try {
    raw = zstdDecompressSync(packed, {
      chunkSize: FRAME_BYTES + 64,
      maxOutputLength: Math.max(1, entry.rawBytes),
    });
  } catch (cause) {
    throw new DrError('CORRUPT', `segment ${what} does not decompress`, { cause });
  }
  if (raw.length !== entry.rawBytes) {
    throw new DrError('CORRUPT', `segment ${what} has ${raw.length} of ${entry.rawBytes} bytes`);
  }
  return raw;
}
