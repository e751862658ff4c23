// Writes small stores in the Apache layout, record by record, independent of the product's own encoder:
// commit log with rolls, consume queues, config files. A dead store, or a live one when appended to.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { crc32 } from 'node:zlib';

export interface LogShape {
  fileBytes: number;
  /** Physical offset the log begins at: > 0 is a store whose older files were purged. */
  start?: number;
  /** Queue offset each queue begins at. */
  queueStart?: number;
  queueFileEntries?: number;
}

export interface RecordShape {
  topic: string;
  queueId: number;
  body: Buffer;
  storeTimestampMs: number;
  properties?: Record<string, string>;
  sysFlag?: number;
}

export class LogBuilder {
  readonly root: string;
  readonly #shape: Required<LogShape>;
  readonly #next = new Map<string, number>();
  end: number;
  readonly offsets: number[] = [];

  constructor(root: string, shape: LogShape) {
    this.root = root;
    this.#shape = { start: 0, queueStart: 0, queueFileEntries: 300, ...shape };
    this.end = this.#shape.start;
    for (const name of ['commitlog', 'consumequeue', 'config']) {
      fs.mkdirSync(path.join(root, name), { recursive: true });
    }
  }

  append(record: RecordShape): number {
    const bytes = encode(record, this.#nextOffset(record), 0);
    const left = this.#shape.fileBytes - (this.end % this.#shape.fileBytes);
    if (bytes.length + 8 > left) this.#roll(left);
    const at = this.end;
    bytes.writeBigInt64BE(BigInt(at), 28);
    this.#write(bytes);
    this.offsets.push(at);
    this.#queue(record, at, bytes.length);
    this.#next.set(`${record.topic}@${record.queueId}`, this.#nextOffset(record) + 1);
    return at;
  }

  config(name: string, value: unknown): void {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    fs.writeFileSync(path.join(this.root, 'config', name), text);
  }

  #nextOffset(record: RecordShape): number {
    return this.#next.get(`${record.topic}@${record.queueId}`) ?? this.#shape.queueStart;
  }

  #roll(left: number): void {
    const marker = Buffer.alloc(8);
    marker.writeInt32BE(left, 0);
    marker.writeUInt32BE(0xcbd43194, 4);
    this.#write(marker);
    this.end += left - 8;
  }

  #write(bytes: Buffer): void {
    const { fileBytes } = this.#shape;
    const base = Math.floor(this.end / fileBytes) * fileBytes;
    const file = path.join(this.root, 'commitlog', String(base).padStart(20, '0'));
    const fd = fs.openSync(file, fs.existsSync(file) ? 'r+' : 'w');
    fs.ftruncateSync(fd, fileBytes);
    fs.writeSync(fd, bytes, 0, bytes.length, this.end - base);
    fs.closeSync(fd);
    this.end += bytes.length;
  }

  #queue(record: RecordShape, at: number, size: number): void {
    this.writeEntry(record, this.#nextOffset(record), { at, size });
  }

  /** Public, to write the queue of purged records too. */
  writeEntry(
    queue: { topic: string; queueId: number },
    index: number,
    entry: { at: number; size: number },
  ): void {
    const perFile = this.#shape.queueFileEntries;
    const base = Math.floor(index / perFile) * perFile;
    const folder = path.join(this.root, 'consumequeue', queue.topic, String(queue.queueId));
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, String(base * 20).padStart(20, '0'));
    const isNew = !fs.existsSync(file);
    const fd = fs.openSync(file, isNew ? 'w+' : 'r+');
    fs.ftruncateSync(fd, perFile * 20);
    const blank = Buffer.alloc(20);
    blank.writeInt32BE(0x7fffffff, 8);
    if (isNew) for (let i = base; i < index; i++) fs.writeSync(fd, blank, 0, 20, (i - base) * 20);
    const bytes = Buffer.alloc(20);
    bytes.writeBigInt64BE(BigInt(entry.at), 0);
    bytes.writeInt32BE(entry.size, 8);
    fs.writeSync(fd, bytes, 0, 20, (index - base) * 20);
    fs.closeSync(fd);
  }
}

function encode(record: RecordShape, queueOffset: number, physicalOffset: number): Buffer {
  const topic = Buffer.from(record.topic);
  const properties = Buffer.from(
    Object.entries(record.properties ?? {})
      .map(([key, value]) => `${key}\u0001${value}\u0002`)
      .join(''),
  );
  const bytes = Buffer.alloc(91 + record.body.length + topic.length + properties.length);
  const host = Buffer.from([127, 0, 0, 1, 0, 0, 42, 159]);
  bytes.writeInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(0xdaa320a7, 4);
  bytes.writeInt32BE(crc32(record.body) & 0x7fffffff, 8);
  bytes.writeInt32BE(record.queueId, 12);
  bytes.writeBigInt64BE(BigInt(queueOffset), 20);
  bytes.writeBigInt64BE(BigInt(physicalOffset), 28);
  bytes.writeInt32BE(record.sysFlag ?? 0, 36);
  bytes.writeBigInt64BE(BigInt(record.storeTimestampMs), 40);
  host.copy(bytes, 48);
  bytes.writeBigInt64BE(BigInt(record.storeTimestampMs), 56);
  host.copy(bytes, 64);
  let at = 84;
  bytes.writeInt32BE(record.body.length, at);
  record.body.copy(bytes, at + 4);
  at += 4 + record.body.length;
  bytes.writeUInt8(topic.length, at);
  topic.copy(bytes, at + 1);
  at += 1 + topic.length;
  bytes.writeInt16BE(properties.length, at);
  properties.copy(bytes, at + 2);
  return bytes;
}

export const T0 = Date.UTC(2026, 10, 20, 3, 0, 0);

/** Repeatable bytes that compress a little, like orders do. */
export function bodyOf(index: number, length: number): Buffer {
  const line = `{"order":${index},"item":"widget-${index % 97}","note":"${(index * 7919) % 10007}"}`;
  return Buffer.alloc(length, line);
}

/** A store with `messages` orders over 4 queues, one per second from T0, and the config files. */
export function buildStore(root: string, messages: number, shape: LogShape): LogBuilder {
  const builder = new LogBuilder(root, shape);
  for (let i = 0; i < messages; i++) appendOrder(builder, i);
  const perQueue = (shape.queueStart ?? 0) + Math.floor(messages / 4);
  builder.config('topics.json', topicTable('orders'));
  builder.config('subscriptionGroup.json', { subscriptionGroupTable: {} });
  builder.config(
    'consumerOffset.json',
    `{"offsetTable":{"orders@billing":{0:${perQueue},1:${perQueue - 1},2:0,3:0}}}`,
  );
  return builder;
}

/** topics.json as both RocketMQ lines read it. */
export const topicTable = (...names: string[]) => ({
  dataVersion: { counter: names.length, timestamp: T0 },
  topicConfigTable: Object.fromEntries(
    names.map((topicName) => [
      topicName,
      {
        topicName,
        readQueueNums: 4,
        writeQueueNums: 4,
        perm: 6,
        topicFilterType: 'SINGLE_TAG',
        topicSysFlag: 0,
        order: false,
      },
    ]),
  ),
});

export const appendOrder = (builder: LogBuilder, index: number): number =>
  builder.append({
    topic: 'orders',
    queueId: index % 4,
    body: bodyOf(index, 200 + ((index * 31) % 300)),
    storeTimestampMs: T0 + index * 1000,
    properties: { UNIQ_KEY: `K${index}`, KEYS: `order-${index}` },
  });
