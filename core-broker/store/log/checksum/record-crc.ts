// The checksum of a whole record, kept as its last property: `__CRC32#` \u0001 ten digits \u0002, the lowest
// digit first. It covers every byte before it, so unlike the body's it notices damage in head, topic and
// properties. Written when enabledAppendPropCRC is on, compared when forceVerifyPropCRC is.
// Invariant: a record without one is judged by its body alone; only one that is there can be wrong.
// Source: MessageDecoder.createCrc32 and CommitLog.CRC32_RESERVED_LEN of RocketMQ 5.5.0, layout only.
import { bodyCrcInView, Property } from '../../../protocol/index.ts';
import type { RecordSource } from '../../door.ts';

const NAME = Buffer.from(`${Property.CRC32}\u0001`, 'latin1');
const VALUE_END = 2;
const DIGITS = 10;
const PROPERTY_BYTES: number = NAME.length + DIGITS + 1;

/** False when the record [start, end) says another checksum of itself than it has. */
export function recordCrcMatches(buf: Buffer, view: DataView, start: number, end: number): boolean {
  const at = end - PROPERTY_BYTES;
  if (at < start || buf[end - 1] !== VALUE_END) return true;
  if (buf.compare(NAME, 0, NAME.length, at, at + NAME.length) !== 0) return true;
  let said = 0;
  for (let i = end - 2; i > end - 2 - DIGITS; i--) said = said * 10 + buf[i]! - 0x30;
  return said === bodyCrcInView(view, start, at);
}

/** Sources with room for the checksum, and the checksum itself once the record is encoded. */
export class RecordSealer {
  #source: RecordSource | undefined;
  #properties = Buffer.alloc(1024);

  /** The same message with the property at its end, its digits still open. Reused. */
  extended(record: RecordSource): RecordSource {
    const { properties, propertiesStart, propertiesLength } = record;
    this.#makeRoom(propertiesLength + 1 + PROPERTY_BYTES);
    const into = this.#properties;
    let length = properties.copy(into, 0, propertiesStart, propertiesStart + propertiesLength);
    const kept = withoutCrc(into, length);
    const isAsGiven = kept === length;
    length = kept;
    if (length > 0 && into[length - 1] !== VALUE_END) into[length++] = VALUE_END;
    NAME.copy(into, length);
    into.fill(0x30, length + NAME.length, length + PROPERTY_BYTES - 1);
    into[length + PROPERTY_BYTES - 1] = VALUE_END;
    this.#source = Object.assign(this.#source ?? { ...record }, record, {
      properties: into,
      propertiesStart: 0,
      propertiesLength: length + PROPERTY_BYTES,
      // Why: marks name places in the text as it was.
      marks: isAsGiven ? record.marks : undefined,
    });
    return this.#source;
  }

  /** Fills in the digits of the record encoded at [start, start + size). */
  seal(view: DataView, start: number, size: number): void {
    const end = start + size;
    let rest = bodyCrcInView(view, start, end - PROPERTY_BYTES);
    for (let i = 0; i < DIGITS; i++) {
      const next = Math.floor(rest / 10);
      view.setUint8(end - 1 - DIGITS + i, 0x30 + rest - next * 10);
      rest = next;
    }
  }

  #makeRoom(bytes: number): void {
    if (this.#properties.length < bytes) this.#properties = Buffer.alloc(bytes * 2);
  }
}

/** Drops what a message brings of an earlier life. @returns the length that is left */
function withoutCrc(bytes: Buffer, length: number): number {
  let end = length;
  for (let at = bytes.indexOf(NAME); at >= 0 && at < end; at = bytes.indexOf(NAME, at)) {
    if (at > 0 && bytes[at - 1] !== VALUE_END) {
      at += NAME.length;
      continue;
    }
    const close = bytes.indexOf(VALUE_END, at);
    const next = close < 0 || close >= end ? end : close + 1;
    bytes.copyWithin(at, next, end);
    end -= next - at;
  }
  return end;
}
