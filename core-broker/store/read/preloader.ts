// Keeps cold reads off the loop. What a pull needs from files is read by the thread pool first and thrown
// away: then it lies in the system's memory, and the pull itself, which checks every record and every
// bound at the time it runs, finds it there. So there is one road to an answer, and nothing that happens
// between the two (a file deleted, a role changed) can reach a consumer.
// Blocks that were read lately are remembered; a reader that goes on in order finds the next ones there.
// Invariant: at most LANES reads are under way, because the pool has four threads and the log needs one;
// bytes go into one reused buffer per lane. A read that fails is no failure here: the pull meets it.
// Source: ours.
import * as fs from 'node:fs/promises';
import type { PullLimit } from '../door.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import type { ConsumeQueue } from '../queue/consume-queue.ts';
import type { Puller } from '../queue/puller.ts';
import type { Stretch } from '../queue/stretches.ts';
import type { LogView } from './log-view.ts';

const LANES = 2;
export const BLOCK_BYTES = 64 * 1024;
/** Largest read: what a reader that goes on in order gets at a time. */
const AHEAD_BLOCKS = 16;
/** Blocks of the log behind a pull that must be there or on their way: enough for a disk to stay busy. */
const MARGIN_BLOCKS = 48;
/** A pull whose records fill less of the log than this is not read ahead for. */
const DENSE_SHARE = 1 / 8;
/** Blocks remembered: 256 MiB of memory of the system. */
const KNOWN_MAX = 4_096;
/** How long a block that was read is taken to be in memory. */
const KNOWN_MS = 30_000;

interface Read {
  keys: readonly (number | string)[];
  run: (room: Buffer) => Promise<unknown>;
  done: () => void;
}

export interface PreloaderParts {
  view: LogView;
  files: LogFiles;
  state: LogState;
  puller: Puller;
}

export class Preloader {
  readonly #parts: PreloaderParts;
  /** Block -> monotonic ms until which it counts as being in memory; numbers are blocks of the log. */
  readonly #known = new Map<number | string, number>();
  /** Blocks being read or waiting for it. */
  readonly #coming = new Map<number | string, Promise<void>>();
  readonly #waiting: Read[] = [];
  readonly #rooms: Buffer[] = [];
  #lanes = 0;

  constructor(parts: PreloaderParts) {
    this.#parts = parts;
  }

  /** See MessageStore.preload. */
  preload(
    queue: ConsumeQueue | undefined,
    from: number,
    limit: PullLimit,
  ): Promise<void> | undefined {
    if (queue === undefined || from < queue.min || from >= queue.max) return undefined;
    const nowMs = performance.now();
    const entries = this.#entries(queue, from, nowMs);
    if (entries !== undefined) return entries;
    const first = queue.physicalAt(from);
    if (first >= 0 && this.#parts.view.isInRing(first)) return undefined;
    const stretches = this.#parts.puller.places(queue, from, limit);
    const missing = this.#missing(stretches, nowMs);
    if (missing.length > 0) return Promise.all(missing).then(() => undefined);
    this.#readAhead(stretches, nowMs);
    return undefined;
  }

  #entries(queue: ConsumeQueue, from: number, nowMs: number): Promise<void> | undefined {
    const place = queue.placeOf(from);
    if (place === undefined) return undefined;
    const start = place.position - (place.position % BLOCK_BYTES);
    const key = `${place.file}@${start}`;
    if (this.#isKnown(key, nowMs)) return undefined;
    // Why two blocks: a pull may look at entries of the next one.
    const run = (room: Buffer) => readPiece(place.file, start, room.subarray(0, 2 * BLOCK_BYTES));
    return this.#coming.get(key) ?? this.#read([key], run);
  }

  #missing(stretches: readonly Stretch[], nowMs: number): Promise<void>[] {
    const missing = new Set<Promise<void>>();
    for (const { from, to } of stretches) {
      const last = blockOf(to - 1);
      for (let block = blockOf(from); block <= last; block++) {
        if (this.#isKnown(block, nowMs) || this.#isInRing(block)) continue;
        missing.add(this.#coming.get(block) ?? this.#readBlocks(block, last - block + 1));
      }
    }
    return [...missing];
  }

  /** Begins to read what follows, when these records lie close together and it is not there yet. */
  #readAhead(stretches: readonly Stretch[], nowMs: number): void {
    const first = stretches[0];
    const last = stretches.at(-1);
    if (first === undefined || last === undefined || this.#waiting.length > 0) return;
    const wanted = stretches.reduce((sum, { from, to }) => sum + to - from, 0);
    if (wanted < (last.to - first.from) * DENSE_SHARE) return;
    const next = blockOf(last.to) + 1;
    // Why the far end first: nearly always what lies before it was seen to already.
    if (this.#isSeenTo(next + MARGIN_BLOCKS, nowMs)) return;
    for (let block = next; block <= next + MARGIN_BLOCKS; block++) {
      if (this.#isSeenTo(block, nowMs)) continue;
      void this.#readBlocks(block, AHEAD_BLOCKS);
      if (this.#waiting.length > 0) return;
    }
  }

  /** Whether the block is there, on its way, or not to be read at all. */
  #isSeenTo(block: number, nowMs: number): boolean {
    if (this.#isKnown(block, nowMs) || this.#coming.has(block)) return true;
    return block * BLOCK_BYTES >= this.#parts.state.dispatched || this.#isInRing(block);
  }

  #readBlocks(block: number, count: number): Promise<void> {
    const { files, state } = this.#parts;
    const from = Math.max(block * BLOCK_BYTES, files.minOffset);
    const size = Math.min(count, AHEAD_BLOCKS) * BLOCK_BYTES - (from - block * BLOCK_BYTES);
    const length = Math.min(size, files.leftAt(from), Math.max(0, state.dispatched - from));
    const end = Math.max(block + 1, Math.ceil((from + length) / BLOCK_BYTES));
    const keys = Array.from({ length: end - block }, (_, i) => block + i);
    return this.#read(keys, (room) => files.read(from, length, room));
  }

  #read(keys: Read['keys'], run: Read['run']): Promise<void> {
    const reading = new Promise<void>((done) => this.#waiting.push({ keys, run, done }));
    for (const key of keys) this.#coming.set(key, reading);
    this.#next();
    return reading;
  }

  #next(): void {
    if (this.#lanes === LANES) return;
    const read = this.#waiting.shift();
    if (read === undefined) return;
    this.#lanes++;
    const room = this.#rooms.pop() ?? Buffer.allocUnsafeSlow(AHEAD_BLOCKS * BLOCK_BYTES);
    const settle = () => {
      this.#lanes--;
      this.#rooms.push(room);
      this.#note(read.keys);
      read.done();
      this.#next();
    };
    // What went wrong is met again, and said, by the pull itself.
    read.run(room).then(settle, settle);
  }

  #note(keys: Read['keys']): void {
    const untilMs = performance.now() + KNOWN_MS;
    for (const key of keys) {
      this.#coming.delete(key);
      this.#known.delete(key);
      this.#known.set(key, untilMs);
    }
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_MAX) return;
      this.#known.delete(oldest);
    }
  }

  #isKnown(key: number | string, nowMs: number): boolean {
    return (this.#known.get(key) ?? 0) > nowMs;
  }

  #isInRing(block: number): boolean {
    return this.#parts.view.isInRing(block * BLOCK_BYTES);
  }
}

const blockOf = (offset: number): number => Math.floor(offset / BLOCK_BYTES);

/** Why an own handle: the cached one may be closed while the thread pool works. */
async function readPiece(path: string, position: number, room: Buffer): Promise<void> {
  const file = await fs.open(path, 'r');
  try {
    await file.read(room, 0, room.length, position);
  } finally {
    await file.close();
  }
}
