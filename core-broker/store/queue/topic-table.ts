// Topics of a store, interned once: name, bytes and the queues behind them. The dispatcher finds a
// topic by its bytes in a record without making a string; append finds its queue by index.
// Source: ours.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError, keptBytes, LIMITS } from '../../base/index.ts';
import { continueJavaHash } from '../../protocol/index.ts';
import type { QueueRef, TopicHandle } from '../door.ts';
import { SCHEDULE_TOPIC } from '../layout.ts';
import { ConsumeQueue, type QueueHome } from './consume-queue.ts';
import { QueueFiles } from './queue-files.ts';

/** Names that cannot be one folder; matters because queues are folders. */
const UNSAFE_NAME = /[/\0]|^\.\.?$/;
const QUEUE_ID_MAX = 65_535;

/** A TopicHandle with what only the store needs. */
export class Topic implements TopicHandle {
  readonly name: string;
  readonly bytes: Buffer;
  readonly id: number;
  readonly queues: (ConsumeQueue | undefined)[] = [];
  /** Java hash of `name + "#"`: the part of an index key that never changes. */
  readonly keyHash: number;
  readonly isSchedule: boolean;

  constructor(name: string, id: number) {
    this.name = name;
    this.bytes = keptBytes(name);
    this.id = id;
    const prefix = Buffer.from(`${name}#`);
    this.keyHash = continueJavaHash(0, { bytes: prefix, start: 0, end: prefix.length });
    this.isSchedule = name === SCHEDULE_TOPIC;
  }
}

/** Writing out goes on in the next loop turn after this time. */
const SLICE_MS = 4;

export class TopicTable implements QueueHome {
  readonly files = new QueueFiles();
  readonly root: string;
  readonly fileSize: number;
  readonly lastReads: QueueHome['lastReads'] = new Map();
  /** Queues with entries that are in no file, those that have waited longest first. */
  readonly #dirty = new Set<ConsumeQueue>();
  /** Queues that had an entry since the last rest(), and those that had one before. */
  #warm = new Set<ConsumeQueue>();
  #cooling = new Set<ConsumeQueue>();
  readonly #byName = new Map<string, Topic>();
  readonly #byBytes = new Map<number, Topic[]>();
  readonly #byId: Topic[] = [];
  #last: Topic | undefined;

  constructor(root: string, fileSize: number) {
    this.root = root;
    this.fileSize = fileSize;
  }

  noteDirty(queue: ConsumeQueue): void {
    this.#dirty.add(queue);
    this.#warm.add(queue);
  }

  get dirtyQueues(): number {
    return this.#dirty.size;
  }

  /** @throws DrError USAGE when the name is empty or longer than the name of a folder may be */
  intern(name: string): Topic {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const length = Buffer.byteLength(name);
    if (length === 0 || length > LIMITS.topicBytesMax || UNSAFE_NAME.test(name)) {
      throw new DrError('USAGE', `topic name of ${length} bytes; 1 to ${LIMITS.topicBytesMax}`);
    }
    return this.#add(name);
  }

  #add(name: string): Topic {
    const topic = new Topic(name, this.#byName.size);
    this.#byId.push(topic);
    this.#byName.set(name, topic);
    const hash = hashOf(topic.bytes, 0, topic.bytes.length);
    const bucket = this.#byBytes.get(hash);
    if (bucket === undefined) this.#byBytes.set(hash, [topic]);
    else bucket.push(topic);
    return topic;
  }

  /** All of them, by their id; grows. */
  get byId(): readonly Topic[] {
    return this.#byId;
  }

  /** The topic whose name is buf[start, start + length). */
  ofBytes(buf: Buffer, start: number, length: number): Topic {
    const last = this.#last;
    if (last !== undefined && isName(last.bytes, buf, start, length)) return last;
    const bucket = this.#byBytes.get(hashOf(buf, start, length));
    const found = bucket?.find((topic) => isName(topic.bytes, buf, start, length));
    this.#last = found ?? this.#adopt(buf.toString('utf8', start, start + length));
    return this.#last;
  }

  /** A name from a record: longer ones (V2) are legal there, ones that leave the folder are not. */
  #adopt(name: string): Topic {
    if (UNSAFE_NAME.test(name)) {
      throw new DrError('CORRUPT', `a record names the impossible topic ${JSON.stringify(name)}`);
    }
    return this.#byName.get(name) ?? this.#add(name);
  }

  /** The queue, created in memory when new. @throws DrError USAGE for an impossible queue id */
  queue(topic: Topic, queueId: number): ConsumeQueue {
    return topic.queues[queueId] ?? this.#addQueue(topic, queueId);
  }

  topicNames(): string[] {
    return [...this.#byName.values()]
      .filter((topic) => topic.queues.some((queue) => queue?.exists))
      .map((topic) => topic.name);
  }

  find(ref: QueueRef): ConsumeQueue | undefined {
    return this.#byName.get(ref.topic)?.queues[ref.queueId];
  }

  *all(): Iterable<ConsumeQueue> {
    for (const topic of this.#byName.values()) {
      for (const queue of topic.queues) if (queue !== undefined) yield queue;
    }
  }

  queuesOf(name: string): ConsumeQueue[] {
    const queues = this.#byName.get(name)?.queues ?? [];
    return queues.filter((queue) => queue !== undefined);
  }

  /** Deletes all queues of a topic; its name stays interned, its offsets start at 0 again. */
  removeQueues(name: string): void {
    const topic = this.#byName.get(name);
    if (topic === undefined) return;
    for (const queue of this.queuesOf(name)) queue.wipe();
    topic.queues.length = 0;
    fs.rmSync(path.join(this.root, name), { recursive: true, force: true });
  }

  /**
   * Finds every queue that has a folder and reads its end.
   * @param soundEnd  as of ConsumeQueue.recover
   */
  recover(soundEnd?: number): void {
    if (!fs.existsSync(this.root)) return;
    for (const name of foldersIn(this.root)) {
      for (const id of foldersIn(path.join(this.root, name))) {
        if (/^\d+$/.test(id)) this.queue(this.#adopt(name), Number(id)).recover(soundEnd);
      }
    }
  }

  /** Writes out entries that are only in memory, all of them before anything else runs. */
  writeOutNow(): void {
    for (const queue of this.#dirty) this.#writeOne(queue);
  }

  /** The same for what is dirty now, in slices, so that tens of thousands of queues hold nobody up. */
  async writeOut(): Promise<void> {
    let left = this.#dirty.size;
    let sliceEnd = performance.now() + SLICE_MS;
    for (const queue of this.#dirty) {
      if (left-- === 0) return;
      this.#writeOne(queue);
      if (performance.now() < sliceEnd) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sliceEnd = performance.now() + SLICE_MS;
    }
  }

  /** Queues without an entry since the last call but one give their memory back. */
  rest(): void {
    const cooling = this.#cooling;
    this.#cooling = this.#warm;
    this.#warm = new Set();
    for (const queue of cooling) {
      if (!this.#cooling.has(queue) && !queue.releaseTail()) this.#warm.add(queue);
    }
  }

  /** Order: out of the set only when it is written, so that a full disk loses nothing. */
  #writeOne(queue: ConsumeQueue): void {
    queue.writeOut();
    this.#dirty.delete(queue);
  }

  #addQueue(topic: Topic, queueId: number): ConsumeQueue {
    if (!Number.isInteger(queueId) || queueId < 0 || queueId > QUEUE_ID_MAX) {
      throw new DrError('USAGE', `queue id ${queueId} is out of range`);
    }
    const ref = { topic: topic.name, queueId };
    const queue = new ConsumeQueue(ref, this);
    topic.queues[queueId] = queue;
    return queue;
  }
}

const foldersIn = (folder: string): string[] =>
  fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

function hashOf(buf: Buffer, start: number, length: number): number {
  let hash = length;
  for (let i = start; i < start + length; i++) hash = (Math.imul(hash, 31) + buf[i]!) | 0;
  return hash;
}

function isName(name: Buffer, buf: Buffer, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (name[i] !== buf[start + i]) return false;
  return true;
}
