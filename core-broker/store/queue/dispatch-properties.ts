// Finds the four properties that dispatch needs (TAGS, KEYS, UNIQ_KEY, DELAY) in the bytes of a
// record's properties, in one pass, as positions. Narrower and cheaper than the scanner of protocol.
// Form: key \u0001 value \u0002 ...; the last entry of a key wins, as in Java.
import { Property } from '../../protocol/index.ts';

const NAME_END = 1;
const VALUE_END = 2;
const TAGS = Buffer.from(Property.TAGS);
const KEYS = Buffer.from(Property.KEYS);
const UNIQ_KEY = Buffer.from(Property.UNIQ_KEY);
const DELAY = Buffer.from(Property.DELAY);

/** Positions in the scanned buffer; start -1 = absent. Reused between records. */
export class DispatchProperties {
  tagsStart = -1;
  tagsEnd = -1;
  keysStart = -1;
  keysEnd = -1;
  uniqStart = -1;
  uniqEnd = -1;
  delayStart = -1;
  delayEnd = -1;

  scan(buf: Buffer, start: number, length: number): void {
    this.tagsStart = -1;
    this.keysStart = -1;
    this.uniqStart = -1;
    this.delayStart = -1;
    const end = start + length;
    for (let at = start; at < end; ) {
      let nameEnd = -1;
      let valueEnd = at;
      for (; valueEnd < end; valueEnd++) {
        const byte = buf[valueEnd]!;
        if (byte === VALUE_END) break;
        if (byte === NAME_END && nameEnd < 0) nameEnd = valueEnd;
      }
      if (nameEnd > at) this.#note(buf, at, nameEnd, valueEnd);
      at = valueEnd + 1;
    }
  }

  #note(buf: Buffer, at: number, nameEnd: number, valueEnd: number): void {
    const length = nameEnd - at;
    if (length === 4 && isAt(buf, at, TAGS)) {
      this.tagsStart = nameEnd + 1;
      this.tagsEnd = valueEnd;
    } else if (length === 4 && isAt(buf, at, KEYS)) {
      this.keysStart = nameEnd + 1;
      this.keysEnd = valueEnd;
    } else if (length === 8 && isAt(buf, at, UNIQ_KEY)) {
      this.uniqStart = nameEnd + 1;
      this.uniqEnd = valueEnd;
    } else if (length === 5 && isAt(buf, at, DELAY)) {
      this.delayStart = nameEnd + 1;
      this.delayEnd = valueEnd;
    }
  }
}

function isAt(buf: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (buf[at + i] !== wanted[i]) return false;
  return true;
}
