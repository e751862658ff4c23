// The words of a shape for the send kernel: made once, when a shape is learned, from the shape, the record that
// was just appended for it and the reply template. The layout is that of core-broker/kernel.
// Invariant: what the kernel cannot do exactly as the other roads makes no kernel shape.
import { sendLayout as at, type KernelShape } from '../../kernel/index.ts';
import type { Hole, SendShape, ShapeFacts, TextHole } from '../../protocol/index.ts';
import { SysFlag } from '../../protocol/index.ts';
import type { RecordSource } from '../../store/index.ts';

const BLOCK = 16;
const ABSENT: Hole = { start: -1, length: 0 };
/** What loose copies write behind a reply. */
const REPLY_SLACK_BYTES = 64;
/** Fixed numbers of a record around its hosts: before the born host, and between the hosts and the body. */
const BEFORE_HOSTS = 48;
const LONG_BYTES = 8;
const BEHIND_HOSTS = 16;
/** Length words of topic and properties. */
const TAIL_WORDS = [3, 4];

export interface ShapeLesson {
  shape: SendShape;
  /** With marks. */
  source: RecordSource;
  /** As it stands in the log. */
  record: Buffer;
  /** Java hash of `topic#`. */
  keyHash: number;
  template: ReplyPieces;
}

/** Of ReplyTemplate. */
export interface ReplyPieces {
  readonly pieces: { head: Buffer; parts: readonly Buffer[] };
  readonly bytesMax: number;
}

interface Copy {
  isHeader: boolean;
  from: number;
  length: number;
}

/** @returns undefined when the kernel is not for sends of this shape */
export function kernelShapeOf(lesson: ShapeLesson): KernelShape | undefined {
  const { source, record, shape, template } = lesson;
  const facts = shape.facts;
  const holes = markedHoles(facts, source);
  const tailLength = record.length - headLengthOf(lesson) - source.bodyLength;
  const copies = copiesOf(facts, tailLength - source.propertiesLength);
  // A store that adds something of its own to each record makes other records than the kernel.
  const own = tailLength - source.topic.bytes.length - source.propertiesLength;
  if (!TAIL_WORDS.includes(own)) return undefined;
  if ((source.sysFlag & SysFlag.TRANSACTION_ROLLBACK) !== 0 || holes === undefined)
    return undefined;
  copies.push({ isHeader: false, from: endOf(copies), length: tailLength - endOf(copies) });
  const { head, parts } = template.pieces;
  const fits =
    facts.header.length <= at.BLOCKS_MAX * BLOCK &&
    tailLength <= at.TAIL_MAX &&
    headLengthOf(lesson) <= at.HEAD_MAX &&
    copies.length <= at.COPIES_MAX &&
    head.length <= at.REPLY_HEAD_MAX &&
    parts.length === at.PIECES &&
    parts.every((part) => part.length <= at.PIECE_BYTES);
  if (!fits) return undefined;
  const bytes = Buffer.alloc(at.SHAPE_BYTES);
  writeHeader(bytes, facts);
  writeRecord(bytes, lesson, copies);
  writeReply(bytes, template, holes.unique.length);
  writeHole(bytes, at.SHAPE_UNIQUE, holes.unique);
  writeHole(bytes, at.SHAPE_TAG, holes.tag);
  writeHole(bytes, at.SHAPE_KEYS, holes.keys);
  bytes.writeInt32LE(lesson.keyHash, at.SHAPE_KEY_HASH);
  bytes.writeInt32LE(source.topic.id, at.SHAPE_TOPIC);
  return { bytes, slot: -1 };
}

/** Where the marked properties stand in the header; undefined when one of them is no hole. */
function markedHoles({ texts }: ShapeFacts, { marks }: RecordSource) {
  if (marks === undefined) return undefined;
  const find = (start: number, end: number): Hole | undefined => {
    if (start < 0) return ABSENT;
    return texts.find((hole) => hole.textAt === start && hole.length === end - start);
  };
  const unique = find(marks.uniqStart, marks.uniqEnd);
  const tag = find(marks.tagsStart, marks.tagsEnd);
  const keys = find(marks.keysStart, marks.keysEnd);
  if (unique === undefined || tag === undefined || keys === undefined) return undefined;
  return unique === ABSENT ? undefined : { unique, tag, keys };
}

function headLengthOf({ source, record }: ShapeLesson): number {
  const storeHost = (record.readInt32BE(36) & SysFlag.STORE_HOST_V6) === 0 ? 8 : 20;
  return BEFORE_HOSTS + source.bornHost.length + LONG_BYTES + storeHost + BEHIND_HOSTS;
}

const endOf = (copies: readonly Copy[]): number =>
  copies.reduce((sum, { length }) => sum + length, 0);

/**
 * The record behind its body, up to the last value: pieces of the record and of the header in turn.
 * @param propertiesAt where the properties begin behind the body
 */
function copiesOf({ texts }: ShapeFacts, propertiesAt: number): Copy[] {
  const copies: Copy[] = [];
  let end = 0;
  for (const { start, length, textAt } of merged(texts)) {
    const from = propertiesAt + textAt;
    if (from > end) copies.push({ isHeader: false, from: end, length: from - end });
    if (length > 0) copies.push({ isHeader: true, from: start, length });
    end = from + length;
  }
  return copies;
}

/** Where the properties stand in the header as in the record, what lies between values is the same too. */
function merged(texts: readonly TextHole[]): readonly TextHole[] {
  const [first] = texts;
  const last = texts.at(-1);
  if (first === undefined || last === undefined) return texts;
  const isSame = texts.every((hole) => hole.start - hole.textAt === first.start - first.textAt);
  return isSame ? [{ ...first, length: last.start + last.length - first.start }] : texts;
}

function writeHole(bytes: Buffer, place: number, { start, length }: Hole): void {
  bytes.writeInt32LE(start, place);
  bytes.writeInt32LE(length, place + 4);
}

function writeHeader(bytes: Buffer, facts: ShapeFacts): void {
  const { header } = facts;
  // As in the frame, which the kernel reads as it stands.
  bytes.writeInt32BE(facts.typeAndLength, at.SHAPE_TYPE);
  bytes.writeInt32LE(header.length, at.SHAPE_HEADER);
  bytes.writeInt32LE(facts.isBinary ? 1 : 0, at.SHAPE_IS_BINARY);
  writeHole(bytes, at.SHAPE_OPAQUE, facts.opaque);
  writeHole(bytes, at.SHAPE_QUEUE, facts.queueId);
  writeHole(bytes, at.SHAPE_BORN, facts.born);
  writeBlocks(bytes, facts);
}

/** The header in blocks; text is only looked for in those from the first to the last value. */
function writeBlocks(bytes: Buffer, { header, mask, texts }: ShapeFacts): void {
  const text = Buffer.alloc(header.length);
  for (const { start, length } of texts) text.fill(0xff, start, start + length);
  for (let from = 0, to = at.SHAPE_BLOCKS; from < header.length; from += BLOCK) {
    const end = from + BLOCK;
    header.copy(bytes, to, from, end);
    mask.copy(bytes, to + BLOCK, from, end);
    text.copy(bytes, to + 2 * BLOCK, from, end);
    to += at.BLOCK_BYTES;
  }
  const placeOf = (block: number) => block * at.BLOCK_BYTES;
  const first = text.indexOf(0xff);
  const textFrom = first < 0 ? 0 : Math.floor(first / BLOCK);
  const textEnd = Math.ceil((text.lastIndexOf(0xff) + 1) / BLOCK);
  bytes.writeInt32LE(placeOf(textFrom), at.SHAPE_TEXT_FROM);
  bytes.writeInt32LE(placeOf(textEnd), at.SHAPE_TEXT_END);
  bytes.writeInt32LE(placeOf(Math.ceil(header.length / BLOCK)), at.SHAPE_BLOCKS_END);
}

function writeRecord(bytes: Buffer, lesson: ShapeLesson, copies: readonly Copy[]): void {
  const { source, record } = lesson;
  const headLength = headLengthOf(lesson);
  const tail = record.subarray(headLength + source.bodyLength);
  bytes.writeInt32LE(record.length - source.bodyLength, at.SHAPE_RECORD);
  bytes.writeInt32LE(headLength, at.SHAPE_HEAD_BYTES);
  bytes.writeInt32LE(BEFORE_HOSTS + source.bornHost.length, at.SHAPE_STORE_TIME);
  bytes.writeInt32LE(copies.length, at.SHAPE_COPIES);
  record.copy(bytes, at.SHAPE_HEAD, 0, headLength);
  tail.copy(bytes, at.SHAPE_TAIL);
  let end = 0;
  copies.forEach(({ isHeader, from, length }, i) => {
    const place = at.SHAPE_COPY + i * at.COPY_BYTES;
    end += length;
    bytes.writeInt32LE(isHeader ? 1 : 0, place);
    bytes.writeInt32LE(isHeader ? from : at.SHAPE_TAIL + from, place + 4);
    bytes.writeInt32LE(length, place + 8);
    // Why: a loose copy writes up to a block more, which must still lie in the record.
    bytes.writeInt32LE(tail.length - end < BLOCK ? 1 : 0, place + 12);
  });
}

function writeReply(bytes: Buffer, template: ReplyPieces, uniqueLength: number): void {
  const { head, parts } = template.pieces;
  bytes.writeInt32LE(head.length, at.SHAPE_REPLY_HEAD);
  bytes.writeInt32LE(template.bytesMax + uniqueLength + REPLY_SLACK_BYTES, at.SHAPE_REPLY_MAX);
  head.copy(bytes, at.SHAPE_REPLY);
  parts.forEach((part, i) => {
    bytes.writeInt32LE(part.length, at.SHAPE_PIECES + i * 4);
    part.copy(bytes, at.SHAPE_PIECE + i * at.PIECE_BYTES);
  });
}
