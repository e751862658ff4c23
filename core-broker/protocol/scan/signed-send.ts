// The signed content of a scanned send, from its bytes: the values of all header fields in the order of
// their names, then the body, copied into one buffer. Saves decoding a header into objects only to join
// it again. Only for what scanSendRequest took from a JSON header; everything it has not the plain form
// of (names beyond ASCII, a name twice, names the signature leaves out) is false, and decoded.
// Invariant: when it is true, the content is what the decoded request gives (property test).
import type { SendRequestView } from './send-scanner.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const CLOSE = 0x7d;
const UNDERSCORE = 0x5f;
const FIELDS_MAX = 32;
const CONTENT_BYTES_FIRST = 64 * 1024;
const ACCESS_KEY = Buffer.from('AccessKey');
const SIGNATURE = Buffer.from('Signature');

/** Signed content and credentials of one send. Reused. */
export class SignedSend {
  /** Bytes [0, length) are the content. */
  content: Buffer = Buffer.allocUnsafeSlow(CONTENT_BYTES_FIRST);
  length = 0;
  /** Where the two credentials stand in the chunk; length 0 = absent. */
  accessKeyStart = 0;
  accessKeyLength = 0;
  signatureStart = 0;
  signatureLength = 0;
  readonly #keyStarts = new Int32Array(FIELDS_MAX);
  readonly #keyLengths = new Int32Array(FIELDS_MAX);
  readonly #valueStarts = new Int32Array(FIELDS_MAX);
  readonly #valueLengths = new Int32Array(FIELDS_MAX);
  /** Fields in the order of their names. */
  readonly #order = new Int32Array(FIELDS_MAX);
  #count = 0;

  /** Reads a send that `view` was just scanned from. @returns false when it must be decoded */
  read(chunk: Buffer, view: SendRequestView): boolean {
    this.#count = 0;
    this.accessKeyLength = 0;
    this.signatureLength = 0;
    if (view.extStart === 0 || !this.#walk(chunk, view)) return false;
    if (this.accessKeyLength === 0 || this.signatureLength === 0) return false;
    this.#join(chunk, view);
    return true;
  }

  /** Over the fields once. The scan before guarantees their form. */
  #walk(chunk: Buffer, view: SendRequestView): boolean {
    let at = view.extStart;
    while (chunk[at] === QUOTE) {
      const keyStart = at + 1;
      let p = keyStart;
      for (let c = chunk[p]!; c !== QUOTE; c = chunk[++p]!) if (c >= 0x80) return false;
      if (chunk[keyStart] === UNDERSCORE || this.#count === FIELDS_MAX) return false;
      const keyLength = p - keyStart;
      const isText = chunk[p + 2] === QUOTE;
      const start = isText ? p + 3 : p + 2;
      const end = isText ? textEnd(chunk, start, view) : bareEnd(chunk, start);
      if (!this.#insert(chunk, keyStart, keyLength)) return false;
      this.#valueStarts[this.#count] = start;
      this.#valueLengths[this.#count] = end - start;
      this.#noteCredentials(chunk, this.#count);
      this.#count++;
      at = isText ? end + 1 : end;
      if (chunk[at] === COMMA) at++;
    }
    return chunk[at] === CLOSE;
  }

  /** Puts the next field into the order. @returns false when its name was there before */
  #insert(chunk: Buffer, start: number, length: number): boolean {
    const order = this.#order;
    const next = this.#count;
    this.#keyStarts[next] = start;
    this.#keyLengths[next] = length;
    let at = next;
    while (at > 0) {
      const before = this.#compare(chunk, order[at - 1]!, next);
      if (before === 0) return false;
      if (before < 0) break;
      order[at] = order[at - 1]!;
      at--;
    }
    order[at] = next;
    return true;
  }

  #compare(chunk: Buffer, left: number, right: number): number {
    const leftStart = this.#keyStarts[left]!;
    const rightStart = this.#keyStarts[right]!;
    const leftLength = this.#keyLengths[left]!;
    const rightLength = this.#keyLengths[right]!;
    const shorter = Math.min(leftLength, rightLength);
    for (let i = 0; i < shorter; i++) {
      const difference = chunk[leftStart + i]! - chunk[rightStart + i]!;
      if (difference !== 0) return difference;
    }
    return leftLength - rightLength;
  }

  #noteCredentials(chunk: Buffer, field: number): void {
    if (this.#keyLengths[field] !== ACCESS_KEY.length) return;
    if (this.#isNamed(chunk, field, ACCESS_KEY)) {
      this.accessKeyStart = this.#valueStarts[field]!;
      this.accessKeyLength = this.#valueLengths[field]!;
    } else if (this.#isNamed(chunk, field, SIGNATURE)) {
      this.signatureStart = this.#valueStarts[field]!;
      this.signatureLength = this.#valueLengths[field]!;
    }
  }

  #isNamed(chunk: Buffer, field: number, name: Buffer): boolean {
    const start = this.#keyStarts[field]!;
    for (let i = 0; i < name.length; i++) if (chunk[start + i] !== name[i]) return false;
    return true;
  }

  #join(chunk: Buffer, view: SendRequestView): void {
    const room = view.bodyStart - view.extStart + view.bodyLength;
    if (this.content.length < room) this.content = Buffer.allocUnsafeSlow(room * 2);
    const content = this.content;
    let length = 0;
    for (let i = 0; i < this.#count; i++) {
      const field = this.#order[i]!;
      const start = this.#valueStarts[field]!;
      if (start === this.signatureStart) continue;
      if (view.isEscaped && start === view.escapedStart) {
        view.scratch.copy(content, length, 0, view.propertiesLength);
        length += view.propertiesLength;
        continue;
      }
      const end = start + this.#valueLengths[field]!;
      for (let p = start; p < end; p++) content[length++] = chunk[p]!;
    }
    chunk.copy(content, length, view.bodyStart, view.bodyStart + view.bodyLength);
    this.length = length + view.bodyLength;
  }
}

/** End of a quoted value: escapes stand in one value only, whose end the scan knows. */
function textEnd(chunk: Buffer, start: number, view: SendRequestView): number {
  if (view.isEscaped && start === view.escapedStart) return view.escapedEnd;
  let p = start;
  while (chunk[p] !== QUOTE) p++;
  return p;
}

function bareEnd(chunk: Buffer, start: number): number {
  let p = start;
  while (chunk[p] !== COMMA && chunk[p] !== CLOSE) p++;
  return p;
}
