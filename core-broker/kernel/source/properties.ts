// Finds TAGS, KEYS and UNIQ_KEY in the properties of a record, sixteen bytes a step.
// Form: key \u0001 value \u0002 ...; the last entry of a key wins, as in Java.

const VALUE_END: i8 = 2;
const NAME_END: u32 = 1;
const TAGS: u32 = 0x53474154;
const KEYS: u32 = 0x5359454b;
const UNIQ: u32 = 0x51494e55;
const UNIQ_TAIL: u32 = 0x59454b5f;

/** Where the values lie; start 0 = absent. */
export let tagsStart: usize = 0;
export let tagsEnd: usize = 0;
export let keysStart: usize = 0;
export let keysEnd: usize = 0;
export let uniqStart: usize = 0;
export let uniqEnd: usize = 0;

/** Looks at [from, to); reads up to 15 bytes behind it. */
export function scan(from: usize, to: usize): void {
  tagsStart = 0;
  keysStart = 0;
  uniqStart = 0;
  let start = from;
  for (let at = from; at < to; at += 16) {
    let ends = u32(i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(VALUE_END))));
    if (to - at < 16) ends &= (1 << (u32(to) - u32(at))) - 1;
    for (; ends !== 0; ends &= ends - 1) {
      const end = at + ctz(ends);
      if (end - start > 4) note(start, end);
      start = end + 1;
    }
  }
  if (to > start + 4) note(start, to);
}

function note(start: usize, end: usize): void {
  const name = load<u32>(start);
  const next = u32(load<u8>(start, 4));
  if (name === TAGS && next === NAME_END) {
    tagsStart = start + 5;
    tagsEnd = end;
  } else if (name === KEYS && next === NAME_END) {
    keysStart = start + 5;
    keysEnd = end;
  } else if (name === UNIQ && end - start > 8 && load<u32>(start, 4) === UNIQ_TAIL) {
    if (u32(load<u8>(start, 8)) !== NAME_END) return;
    uniqStart = start + 9;
    uniqEnd = end;
  }
}
