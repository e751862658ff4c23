// 64-bit big-endian integers as plain numbers, without BigInt: high word * 2^32 + low word.
// Invariant: readInt64 never returns an inexact value; beyond 2^53 it throws.
import { DrError } from '../../base/index.ts';

const WORD = 0x1_0000_0000;

/** @throws DrError PROTOCOL when the value is not an exact number */
export function readInt64(bytes: Buffer, at: number): number {
  const high = bytes.readInt32BE(at);
  const value = high * WORD + bytes.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) {
    throw new DrError('PROTOCOL', 'a 64-bit field is beyond 2^53');
  }
  return value;
}

/** Writes a safe integer, negative too. @returns position behind it */
export function writeInt64(bytes: Buffer, value: number, at: number): number {
  const high = Math.floor(value / WORD);
  bytes.writeInt32BE(high, at);
  bytes.writeUInt32BE(value - high * WORD, at + 4);
  return at + 8;
}
