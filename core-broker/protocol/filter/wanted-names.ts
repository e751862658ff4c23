// Finds the values of a set of property names in the bytes of a record in one pass: each entry is
// looked up by length and first byte of its name, then compared. No text is made.
// Source: MessageDecoder.string2messageProperties, behaviour only.
import type { ByteRange } from '../message/index.ts';

const NAME_END = 1;
const VALUE_END = 2;

export class WantedNames {
  /** Where the value of a slot starts; -1 = absent. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Slots by length and first byte of the name. */
  readonly buckets = new Map<number, { bytes: Buffer; slot: number }[]>();

  constructor(names: readonly string[]) {
    this.starts = new Int32Array(names.length);
    this.ends = new Int32Array(names.length);
    names.forEach((name, slot) => {
      const bytes = Buffer.from(name);
      const key = bucketOf(bytes.length, bytes[0]!);
      const bucket = this.buckets.get(key);
      if (bucket) bucket.push({ bytes, slot });
      else this.buckets.set(key, [{ bytes, slot }]);
    });
  }
}

const bucketOf = (length: number, first: number): number => length * 256 + first;

/** Fills `wanted` from the properties in the area; a later value of a name wins, as in Java. */
export function findWanted(bytes: Buffer, area: ByteRange, wanted: WantedNames): void {
  wanted.starts.fill(-1);
  let at = area.start;
  while (at < area.end) {
    const cut = bytes.indexOf(VALUE_END, at);
    const end = cut < 0 || cut > area.end ? area.end : cut;
    let nameEnd = at;
    while (nameEnd < end && bytes[nameEnd] !== NAME_END) nameEnd++;
    // An entry without a name or without a value does not count.
    if (nameEnd > at && nameEnd < end - 1) note(bytes, { at, nameEnd, end }, wanted);
    at = end + 1;
  }
}

function note(
  bytes: Buffer,
  entry: { at: number; nameEnd: number; end: number },
  wanted: WantedNames,
): void {
  const { at, nameEnd, end } = entry;
  const bucket = wanted.buckets.get(bucketOf(nameEnd - at, bytes[at]!));
  for (const { bytes: name, slot } of bucket ?? []) {
    if (bytes.compare(name, 0, name.length, at, nameEnd) !== 0) continue;
    wanted.starts[slot] = nameEnd + 1;
    wanted.ends[slot] = end;
    return;
  }
}
