// Optional encryption of frames: AES-256-GCM, one key per segment, the frame number as nonce with a
// last-frame flag, the segment header as associated data; so frames cannot be cut off, swapped or moved.
// The salt of a segment is an HMAC of its content digests: the same input gives the same object, which
// keeps retries and increments free of new uploads; it shows only that two segments are equal.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto';
import * as fs from 'node:fs';
import { DrError } from '../../core-broker/base/errors.ts';
import { broken } from './format.ts';

const TAG_BYTES = 16;

/** A 32-byte repository key; `bytes` never leaves this folder but to its workers. */
export interface RepositoryKey {
  bytes: Uint8Array;
}

/** Reads a key file: 32 raw bytes, or 64 hex digits. @throws DrError AUTH */
export function readKeyFile(file: string): RepositoryKey {
  let content: Buffer;
  try {
    content = fs.readFileSync(file);
  } catch (cause) {
    throw new DrError('AUTH', `${file}: the key file cannot be read`, { cause });
  }
  if (content.length === 32) return { bytes: content };
  const text = content.toString('latin1').trim();
  if (/^[0-9a-fA-F]{64}$/.test(text)) return { bytes: Buffer.from(text, 'hex') };
  throw new DrError('AUTH', `${file}: a key is 32 bytes or 64 hex digits`, {
    hint: `openssl rand -hex 32 > ${file}`,
  });
}

const derive = (key: RepositoryKey, salt: Uint8Array, use: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key.bytes, salt, `rocketmq-dr ${use} v1`, 32));

/** HMAC under a key of its own for each use. */
export function keyedDigest(key: RepositoryKey, use: string, bytes: Uint8Array): Buffer {
  return createHmac('sha256', derive(key, Buffer.alloc(0), use))
    .update(bytes)
    .digest();
}

/** Names a key without giving it away, so that a wrong key file is told apart from damage. */
export const keyId = (key: RepositoryKey): string =>
  keyedDigest(key, 'key id', Buffer.alloc(0)).toString('hex').slice(0, 16);

/** Salt of a segment, from the digests of its frames. */
export const segmentSalt = (key: RepositoryKey, digests: Uint8Array): Buffer =>
  keyedDigest(key, 'salt', digests).subarray(0, 16);

export interface FramePlace {
  header: Buffer;
  salt: Buffer;
  frame: number;
  frames: number;
}

/** Seals the frames of one segment; the subkey is derived once. */
export function createSealer(key: RepositoryKey, salt: Buffer) {
  const subkey = derive(key, salt, 'segment');
  return {
    seal(frame: Uint8Array, place: FramePlace): Buffer {
      const cipher = createCipheriv('aes-256-gcm', subkey, nonce(place));
      cipher.setAAD(place.header);
      const sealed = cipher.update(frame);
      return Buffer.concat([sealed, cipher.final(), cipher.getAuthTag()]);
    },
    /** @throws DrError CORRUPT when a byte, the place or the header differs */
    open(sealed: Buffer, place: FramePlace, id: string): Buffer {
      const decipher = createDecipheriv('aes-256-gcm', subkey, nonce(place));
      decipher.setAAD(place.header);
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      const opened = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
      try {
        return Buffer.concat([opened, decipher.final()]);
      } catch (cause) {
        throw Object.assign(broken(id, `frame ${place.frame} is not authentic`), { cause });
      }
    },
  };
}

function nonce(place: FramePlace): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(place.frame, 7);
  bytes[11] = place.frame === place.frames - 1 ? 1 : 0;
  return bytes;
}

export const equalDigest = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && timingSafeEqual(left, right);
