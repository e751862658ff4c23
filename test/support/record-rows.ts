// The rows of a stretch of log as the full reader makes them, one record at a time: what the kernel and
// the thread that uses it are held against. And records of every form to make such a log of.

import { encodeRecord, type MessageRecord } from '../../core-broker/protocol/index.ts';
import { DigestRing } from '../../core-broker/store/check/digest-ring.ts';
import { RecordCursor } from '../../core-broker/store/log/record-bytes.ts';
import { DelayLevels } from '../../core-broker/store/queue/digest/delay-levels.ts';
import { Digester } from '../../core-broker/store/queue/digest/digester.ts';
import { TopicTable } from '../../core-broker/store/queue/topic-table.ts';

export interface ReadRecord {
  offset: number;
  size: number;
  topic: string;
  /** Words of the row, the number of the topic left out. */
  row: number[];
}

const hosts = (seed: number): Buffer => Buffer.alloc(seed % 7 === 0 ? 20 : 8, seed & 0xff);

/** Reads record after record with the full reader; a small one of it is kept for all stretches. */
export class RowReader {
  readonly #cursor = new RecordCursor();
  readonly #topics = new TopicTable('', 0);
  readonly #ring = new DigestRing(new SharedArrayBuffer((16 + 65_536) * 4));
  readonly #digester: Digester;

  constructor(hasIndex = true) {
    this.#digester = new Digester(new DelayLevels('1s 5s 10s'), hasIndex);
  }

  /** @returns the sound records from `from` on, up to the first that is none */
  read(bytes: Buffer, from: number, to: number, place: { offset: number; fileLeft: number }) {
    const found: ReadRecord[] = [];
    for (let at = from; ; ) {
      const moved = at - from;
      const offset = place.offset + moved;
      const record = this.#one(bytes, at, to, { offset, fileLeft: place.fileLeft - moved });
      if (record === undefined) return found;
      found.push(record);
      at += record.size;
    }
  }

  #one(bytes: Buffer, at: number, to: number, place: { offset: number; fileLeft: number }) {
    const cursor = this.#cursor;
    if (at >= to || cursor.read(bytes, at, to, place.fileLeft) !== 'record') return undefined;
    if (cursor.damageAt(bytes, place.offset) !== 0) return undefined;
    const { topicStart, topicLength, size } = cursor;
    const name = bytes.toString('latin1', topicStart, topicStart + topicLength);
    try {
      const topic = this.#topics.ofBytes(bytes, topicStart, topicLength);
      const row = this.#rowOf(this.#digester.make(bytes, cursor, topic));
      return { offset: place.offset, size, topic: name, row };
    } catch {
      // The only thing thrown here is a topic that cannot be one.
      return undefined;
    }
  }

  #rowOf(digest: Parameters<DigestRing['putRecord']>[0]): number[] {
    const ring = this.#ring;
    if (!ring.putRecord(digest, -1)) throw new Error('the row is too long');
    ring.publish();
    ring.peek();
    const row = Array.from({ length: 11 + digest.keyCount }, (_, i) => ring.word(i));
    ring.take();
    ring.release();
    return row;
  }
}

const TEXTS = ['', 'a', 'TagA', 'x'.repeat(15), 'y'.repeat(16), 'z'.repeat(33), 'ß', 'k1 k2', ' '];
const KEYS = [
  'k1',
  'k1 k2  k3',
  'ключ',
  'k ß',
  ' lead',
  'trail ',
  'a'.repeat(200),
  '1 '.repeat(80),
];
const ODD = [
  'TAGS',
  'TAGS\u0001',
  'TAG\u0001x',
  'UNIQ_KEY',
  'UNIQ_KEYS\u0001x',
  'KEYS1\u0001x',
  '\u0001',
];
const pick = <T>(list: readonly T[], random: () => number): T =>
  list[Math.floor(random() * list.length)] as T;

/** Properties of any kind: plain, of several keys, repeated, of odd forms, with text that is not ASCII. */
function properties(random: () => number): string {
  const parts: string[] = [];
  if (random() < 0.9) {
    parts.push(
      `UNIQ_KEY\u0001${Math.floor(random() * 1e15)
        .toString(16)
        .padStart(32, '0')}`,
    );
  }
  if (random() < 0.8) parts.push('TAGS\u0001TagA');
  if (random() < 0.1) parts.push(`TAGS\u0001${pick(TEXTS, random)}`);
  if (random() < 0.2) parts.push(`KEYS\u0001${pick(KEYS, random)}`);
  if (random() < 0.1) parts.push(`DELAY\u0001${Math.floor(random() * 5)}`);
  if (random() < 0.1) parts.push(pick(ODD, random));
  if (random() < 0.3) parts.push(`CLUSTER\u0001${'c'.repeat(random() * 40)}`);
  if (random() < 0.5) parts.reverse();
  return parts.join('\u0002') + (random() < 0.8 ? '\u0002' : '');
}

// The first four have two hashes among them.
const TOPICS = ['Aa', 'BB', 'AaAaAaAa', 'BBBBBBBB', 'orders', 'BenchmarkTest'];
const ODD_TOPICS = [...TOPICS, 'SCHEDULE_TOPIC_XXXX', 't'.repeat(127), 'T'.repeat(200)];

/** A record of any form that can stand at `physicalOffset`. */
export function anyRecord(random: () => number, physicalOffset: number, isOdd = false): Buffer {
  const seed = Math.floor(random() * 1e6);
  const topic = random() < 0.3 ? `topic-${seed % 700}` : pick(isOdd ? ODD_TOPICS : TOPICS, random);
  const bodyBytes = random() < 0.02 ? random() * 6000 : random() * 200;
  const record: MessageRecord = {
    queueId: seed % 16,
    flag: seed,
    queueOffset: random() < 0.01 ? 2 ** 53 - 1 : Math.floor(random() * 2 ** 40),
    physicalOffset,
    sysFlag: pick([0, 0, 0, 0, 1, 4, 8, 12], random),
    bornTimestampMs: 1_700_000_000_000,
    bornHost: hosts(seed),
    storeTimestampMs: 1_700_000_000_000 + seed,
    storeHost: hosts(seed + 3),
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.alloc(random() < 0.05 ? 0 : bodyBytes, seed.toString(36)),
    topic,
    properties: properties(random),
  };
  return encodeRecord(record);
}

/** Repeatable numbers in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    return ((mixed ^ (mixed >>> 12)) >>> 0) / 0x1_0000_0000;
  };
}
