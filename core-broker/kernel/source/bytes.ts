// Copies and big-endian words. A loose copy writes whole blocks and so up to 15 bytes more than asked: for
// places that are written again afterwards.

/** @returns the place behind the bytes */
export function copyLoose(to: usize, from: usize, length: usize): usize {
  for (let i: usize = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

/** For what mostly is two blocks or less: writes up to 32 bytes too many. @returns the place behind the bytes */
export function copyShort(to: usize, from: usize, length: usize): usize {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
  for (let i: usize = 32; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

/** @returns the place behind the bytes */
export function copyExact(to: usize, from: usize, length: usize): usize {
  const end = to + length;
  if (length >= 16) {
    for (let i: usize = 0; i + 16 <= length; i += 16) v128.store(to + i, v128.load(from + i));
    v128.store(end - 16, v128.load(from + length - 16));
  } else if (length >= 8) {
    store<u64>(to, load<u64>(from));
    store<u64>(end - 8, load<u64>(from + length - 8));
  } else {
    for (let i: usize = 0; i < length; i++) store<u8>(to + i, load<u8>(from + i));
  }
  return end;
}

export function putInt(at: usize, value: i32): void {
  store<i32>(at, bswap<i32>(value));
}

export function putLong(at: usize, value: i64): void {
  store<i64>(at, bswap<i64>(value));
}
