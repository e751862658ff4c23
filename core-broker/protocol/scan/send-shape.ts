// A producer writes the same header over and over: only opaque, time, queue and the values of its
// properties change, and those mostly keep their length. A shape is such a header with holes. A frame
// that fits is read by one compare of words and a look into each hole, instead of a scan of every byte.
// Invariant: a frame that fits gives exactly what scanSendRequest gives for it (property test); whatever
// is unusual does not fit and is scanned.
import { WordViews } from '../message/index.ts';
import { parseNumber } from './header-view.ts';
import { SendField, type SendRequestView } from './send-scanner.ts';

const PREFIX_BYTES = 8;
const WORD_BYTES = 4;
const HEADER_BYTES_MAX = 4096;
const HOLES_MAX = 24;
const BACKSLASH = 0x5c;
/** The escapes of the two separators of properties, up to their last digit: `\u000`. */
const ESCAPE = Buffer.from('\\u000');
const ESCAPE_BYTES = 6;
const NAME_END = 1;
const VALUE_END = 2;

/** A range of the header, relative to its first byte. */
export interface Hole {
  start: number;
  length: number;
}

/** A property value: its place in the header and in the un-escaped properties. */
export interface TextHole extends Hole {
  textAt: number;
}

/** What a shape is made of: for whoever compares frames with it elsewhere. */
export interface ShapeFacts {
  readonly isBinary: boolean;
  /** The header it was learned from. */
  readonly header: Buffer;
  /** Bits of the header that must be equal. */
  readonly mask: Buffer;
  readonly typeAndLength: number;
  readonly opaque: Hole;
  readonly queueId: Hole;
  readonly born: Hole;
  readonly texts: readonly TextHole[];
}

const frames = new WordViews();

export class SendShape {
  /** Un-escaped properties of the frame that fitted last, with room behind for the caller's own. */
  readonly text: Buffer;
  readonly textLength: number;
  opaque = 0;
  queueId = 0;
  bornTimestampMs = 0;
  bodyStart = 0;
  bodyLength = 0;
  readonly #textView: DataView;
  readonly #isBinary: boolean;
  readonly #headerLength: number;
  /** Type and length of the header as one word of the frame. */
  readonly #typeAndLength: number;
  /** Expected words; the last one overlaps the one before when the length is no multiple of four. */
  readonly #words: Int32Array;
  /** Bits of each word that must be equal. */
  readonly #masks: Int32Array;
  readonly #opaque: Hole;
  readonly #queueId: Hole;
  readonly #born: Hole;
  readonly #texts: readonly TextHole[];
  readonly #header: Buffer;
  readonly #mask: Buffer;

  constructor(
    chunk: Buffer,
    view: SendRequestView,
    { texts, roomBytes }: { texts: readonly TextHole[]; roomBytes: number },
  ) {
    const { headerStart, propertiesStart, propertiesLength } = view;
    const header = chunk.subarray(headerStart, view.bodyStart);
    const holeOf = (start: number, length: number) => ({ start: start - headerStart, length });
    const field = (id: number) => holeOf(view.starts[id] as number, view.lengths[id] as number);
    this.#headerLength = header.length;
    this.#typeAndLength = chunk.readInt32BE(headerStart - WORD_BYTES);
    this.#isBinary = chunk[headerStart - WORD_BYTES] === 1;
    this.#opaque = holeOf(view.opaqueStart, view.opaqueLength);
    this.#queueId = field(SendField.QUEUE_ID);
    this.#born = field(SendField.BORN_TIMESTAMP);
    this.#texts = texts;
    this.textLength = propertiesLength;
    this.text = Buffer.alloc(propertiesLength + roomBytes);
    view.properties.copy(this.text, 0, propertiesStart, propertiesStart + propertiesLength);
    this.#textView = new DataView(this.text.buffer, this.text.byteOffset, this.text.length);
    const mask = Buffer.alloc(header.length, 0xff);
    for (const { start, length } of [this.#opaque, this.#queueId, this.#born, ...texts]) {
      mask.fill(0, start, start + length);
    }
    this.#header = Buffer.from(header);
    this.#mask = mask;
    this.#words = wordsOf(header);
    this.#masks = wordsOf(mask);
  }

  get facts(): ShapeFacts {
    return {
      isBinary: this.#isBinary,
      header: this.#header,
      mask: this.#mask,
      typeAndLength: this.#typeAndLength,
      opaque: this.#opaque,
      queueId: this.#queueId,
      born: this.#born,
      texts: this.#texts,
    };
  }

  /**
   * Reads the frame [start, end) of `chunk` when it has this shape.
   * @returns false when it has not; the numbers and the text are then undefined content
   */
  fits(chunk: Buffer, start: number, end: number): boolean {
    const at = start + PREFIX_BYTES;
    const bodyStart = at + this.#headerLength;
    if (bodyStart > end) return false;
    const frame = frames.of(chunk);
    if (frame.getInt32(start + WORD_BYTES) !== this.#typeAndLength) return false;
    if (!this.#isEqual(frame, at)) return false;
    this.bodyStart = bodyStart;
    this.bodyLength = end - bodyStart;
    return this.#readNumbers(chunk, frame, at) && this.#readTexts(frame, at);
  }

  #isEqual(frame: DataView, start: number): boolean {
    const words = this.#words;
    const masks = this.#masks;
    const last = words.length - 1;
    let difference = 0;
    let at = start;
    for (let i = 0; i < last; i++, at += WORD_BYTES) {
      difference |= (frame.getInt32(at, true) ^ words[i]!) & masks[i]!;
    }
    const tail = frame.getInt32(start + this.#headerLength - WORD_BYTES, true);
    return (difference | ((tail ^ words[last]!) & masks[last]!)) === 0;
  }

  #readNumbers(chunk: Buffer, frame: DataView, at: number): boolean {
    const opaque = this.#opaque;
    const opaqueAt = at + opaque.start;
    this.opaque = this.#isBinary
      ? frame.getInt32(opaqueAt)
      : parseNumber(chunk, opaqueAt, opaque.length);
    this.queueId = parseNumber(chunk, at + this.#queueId.start, this.#queueId.length);
    this.bornTimestampMs = parseNumber(chunk, at + this.#born.start, this.#born.length);
    const isWhole = (this.opaque | 0) === this.opaque && (this.queueId | 0) === this.queueId;
    return isWhole && !Number.isNaN(this.bornTimestampMs);
  }

  #readTexts(frame: DataView, at: number): boolean {
    const texts = this.#texts;
    let odd = 0;
    for (let i = 0; i < texts.length; i++) odd |= this.#copyText(frame, at, texts[i]!);
    return odd === 0;
  }

  /** @returns not 0 when a byte is none that may stand in a property value as it is */
  #copyText(frame: DataView, headerAt: number, hole: TextHole): number {
    const text = this.#textView;
    const from = headerAt + hole.start;
    const { textAt, length } = hole;
    let odd = 0;
    let i = 0;
    for (const words = length - WORD_BYTES; i <= words; i += WORD_BYTES) {
      const word = frame.getInt32(from + i, true);
      odd |= oddBytes(word);
      text.setInt32(textAt + i, word, true);
    }
    for (; i < length; i++) {
      const byte = frame.getUint8(from + i);
      odd |= oddBytes(byte | 0x20202000);
      text.setUint8(textAt + i, byte);
    }
    return odd;
  }
}

/**
 * Not 0 when one of the four bytes is below 0x20, above 0x7f, a quote or a backslash.
 * Borrows may mark more bytes than one, but never mark a word that has none.
 */
function oddBytes(word: number): number {
  const quote = word ^ 0x22222222;
  const backslash = word ^ 0x5c5c5c5c;
  const marks =
    ((word - 0x20202020) & ~word) |
    ((quote - 0x01010101) & ~quote) |
    ((backslash - 0x01010101) & ~backslash) |
    word;
  return marks & 0x80808080;
}

/** The shape of a frame that scanSendRequest took a moment ago; undefined when it makes none. */
export function shapeOf(
  chunk: Buffer,
  view: SendRequestView,
  roomBytes: number,
): SendShape | undefined {
  const headerLength = view.bodyStart - view.headerStart;
  if (headerLength > HEADER_BYTES_MAX || view.hasCredentials) return undefined;
  if (!view.has(SendField.PROPERTIES)) return undefined;
  const texts = view.isEscaped ? escapedHoles(chunk, view) : plainHoles(chunk, view);
  return texts === undefined || texts.length > HOLES_MAX
    ? undefined
    : new SendShape(chunk, view, { texts, roomBytes });
}

function plainHoles(chunk: Buffer, view: SendRequestView): TextHole[] | undefined {
  const end = view.propertiesStart + view.propertiesLength;
  return holesOf(view.propertiesStart - view.headerStart, separators());

  function* separators() {
    for (let at = view.propertiesStart; at < end; at++) {
      const byte = chunk[at] as number;
      yield { byte: byte === NAME_END || byte === VALUE_END ? byte : 0, bytes: 1 };
    }
  }
}

/** Only the separators may be escaped; undefined for any other escape. */
function escapedHoles(chunk: Buffer, view: SendRequestView): TextHole[] | undefined {
  const { escapedStart, escapedEnd } = view;
  return holesOf(escapedStart - view.headerStart, separators());

  function* separators() {
    for (let at = escapedStart; at < escapedEnd; ) {
      if (chunk[at] !== BACKSLASH) {
        yield { byte: 0, bytes: 1 };
        at++;
        continue;
      }
      const digit = (chunk[at + ESCAPE.length] as number) - 0x30;
      const isSeparator = chunk.compare(ESCAPE, 0, ESCAPE.length, at, at + ESCAPE.length) === 0;
      yield { byte: isSeparator && digit >= NAME_END && digit <= VALUE_END ? digit : -1, bytes: 6 };
      at += ESCAPE_BYTES;
    }
  }
}

/**
 * Places of the values in properties given byte by byte (0 = any other byte, -1 = not usable).
 * @param start place of the properties in the header
 * @returns undefined for text that is not name, separator, value, separator ...
 */
function holesOf(
  start: number,
  bytes: Iterable<{ byte: number; bytes: number }>,
): TextHole[] | undefined {
  const holes: TextHole[] = [];
  let at = start;
  let textAt = 0;
  let nameAt = 0;
  let value: TextHole | undefined;
  for (const each of bytes) {
    const isWrong = each.byte === (value ? NAME_END : VALUE_END);
    if (isWrong || each.byte < 0 || (each.byte === NAME_END && textAt === nameAt)) return undefined;
    at += each.bytes;
    textAt++;
    if (each.byte === NAME_END) value = { start: at, length: 0, textAt };
    else if (each.byte === 0 && value) value.length++;
    else if (value) {
      holes.push(value);
      value = undefined;
      nameAt = textAt;
    }
  }
  if (value) holes.push(value);
  else if (textAt !== nameAt) return undefined;
  return holes;
}

/** Little-endian words; the last one ends with the bytes. `bytes` has at least four. */
function wordsOf(bytes: Buffer): Int32Array {
  const count = Math.ceil(bytes.length / WORD_BYTES);
  return Int32Array.from({ length: count }, (_, i) =>
    bytes.readInt32LE(Math.min(i * WORD_BYTES, bytes.length - WORD_BYTES)),
  );
}
