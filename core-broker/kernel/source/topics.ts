// Topics that the walk knows: number and key hash by name, in 256 slots of 256 bytes, each for the names
// of one hash. Who is pushed out of a slot is simply not known: its records are left to the caller, who
// makes it known again.
//   0 hash  4 length  8 number  12 key hash  16 name, up to 224 bytes
import { TABLES_END } from './crc32';
import { isPlain, javaHash } from './java-hash';

const SLOTS: usize = TABLES_END;
const SLOT_BYTES: usize = 256;
export const SLOTS_END: usize = SLOTS + 256 * SLOT_BYTES;
const NAME_BYTES_MAX: usize = 224;
const NAME: usize = 16;

/** From now on records of the topic whose name is at [from, to) are walked. */
export function know(from: usize, to: usize, number: i32, keyHash: i32): void {
  const hash = javaHash(0, from, to);
  const length = to - from;
  if (!isPlain || length === 0 || length > NAME_BYTES_MAX) return;
  const slot = slotOf(hash);
  store<u32>(slot, hash);
  store<u32>(slot, length, 4);
  store<i32>(slot, number, 8);
  store<i32>(slot, keyHash, 12);
  memory.copy(slot + NAME, from, length);
}

/** Forgets every topic: their numbers mean others now. */
export function forget(): void {
  memory.fill(SLOTS, 0, 256 * SLOT_BYTES);
}

/** Slot of the topic whose name is at [from, to), 0 = not known. */
export function topicAt(from: usize, to: usize): usize {
  const hash = javaHash(0, from, to);
  const slot = slotOf(hash);
  const length = to - from;
  if (load<u32>(slot) !== hash || load<u32>(slot, 4) !== length) return 0;
  let i: usize = 0;
  for (; i + 8 <= length; i += 8) {
    if (load<u64>(from + i) !== load<u64>(slot + i, NAME)) return 0;
  }
  for (; i < length; i++) if (load<u8>(from + i) !== load<u8>(slot + i, NAME)) return 0;
  return slot;
}

export function numberOf(slot: usize): i32 {
  return load<i32>(slot, 8);
}

export function keyHashOf(slot: usize): u32 {
  return load<u32>(slot, 12);
}

function slotOf(hash: u32): usize {
  return SLOTS + ((hash ^ (hash >>> 8) ^ (hash >>> 16)) & 0xff) * SLOT_BYTES;
}
