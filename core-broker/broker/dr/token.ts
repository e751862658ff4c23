// The sealed-tail token: proof of the exact end of a log, of every queue and of every offset. Both sides
// compute it from their own bytes; equal tokens mean the standby has everything the sealed side had.
// The CRC of the last log file is kept up while the log grows (bounded work per second), so that the
// pause between seal and promote does not pay for a whole 1 GiB file.
// Invariant: a kept CRC covers only bytes that can no longer change; a log that became shorter or was
// cut drops it. Source: switchover "Planned: two-phase fence".
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { DrError } from '../../base/index.ts';
import type { SealedTailToken } from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import { HA_READ_BYTES } from '../ha/index.ts';
import type { MetadataTables } from '../metadata/index.ts';

const WARM_BYTES_PER_STEP = 32 * 1024 * 1024;

interface RunningCrc {
  fileStart: number;
  end: number;
  crc: number;
}

export class TokenMaker {
  readonly #store: MessageStore;
  readonly #tables: MetadataTables;
  readonly #fileSize: number;
  #running: RunningCrc = { fileStart: 0, end: 0, crc: 0 };
  #isWarming = false;
  /** Why kept: a fresh one per read is memory outside the heap that drives V8 into full collections. */
  #room: Buffer | undefined;

  constructor(from: { store: MessageStore; tables: MetadataTables; fileSize: number }) {
    this.#store = from.store;
    this.#tables = from.tables;
    this.#fileSize = from.fileSize;
  }

  /** Token of a store at rest: nothing may be appended while this runs. @throws DrError CORRUPT */
  async compute(): Promise<SealedTailToken> {
    const { state } = this.#store.guard;
    const logEnd = this.#store.storeBounds().maxOffset;
    return {
      lineage: [...state.lineage],
      epoch: state.epoch,
      logEnd,
      lastFileCrc: await this.#crcTo(logEnd),
      queueDigest: this.#queueDigest(),
      offsetDigest: this.offsetDigest(),
    };
  }

  /** SHA-256 over consumer offsets and delay offsets as they are now. */
  offsetDigest(): string {
    const { consumer, delay } = this.#tables.offsetLines();
    return digest([...[...consumer].sort(), ...[...delay].sort()]);
  }

  /** Advances the kept CRC by a bounded piece; called by a timer. */
  async warm(): Promise<void> {
    if (this.#isWarming) return;
    this.#isWarming = true;
    try {
      const end = this.#store.validatedEnd();
      this.#follow(end);
      await this.#advance(Math.min(end, this.#running.end + WARM_BYTES_PER_STEP));
    } finally {
      this.#isWarming = false;
    }
  }

  /** After a cut of the log. */
  forget(): void {
    this.#running = { fileStart: 0, end: 0, crc: 0 };
  }

  async #crcTo(end: number): Promise<number> {
    this.#follow(end);
    await this.#advance(end);
    return this.#running.crc;
  }

  /** The file that holds byte `end - 1`; bytes below the minimum are gone on both sides. */
  #follow(end: number): void {
    const lastByte = Math.max(0, end - 1);
    const { minOffset } = this.#store.storeBounds();
    const fileStart = Math.max(lastByte - (lastByte % this.#fileSize), Math.min(minOffset, end));
    if (this.#running.fileStart === fileStart && this.#running.end <= end) return;
    this.#running = { fileStart, end: fileStart, crc: 0 };
  }

  async #advance(end: number): Promise<void> {
    const room = this.#room ?? Buffer.allocUnsafeSlow(HA_READ_BYTES);
    // A second call while this one runs takes one of its own.
    this.#room = undefined;
    try {
      await this.#read(end, room);
    } finally {
      this.#room = room;
    }
  }

  async #read(end: number, room: Buffer): Promise<void> {
    for (;;) {
      // Taken fresh each round: warm() and compute() may run at the same time, forget() in between.
      const before = this.#running;
      if (before.end >= end) return;
      const bytes = await this.#store.readLog(
        before.end,
        Math.min(HA_READ_BYTES, end - before.end),
        room,
      );
      if (bytes === undefined || bytes.length === 0) {
        throw new DrError('CORRUPT', `the log cannot be read at byte ${before.end}`);
      }
      if (this.#running !== before) continue;
      const next = { fileStart: before.fileStart, end: before.end + bytes.length, crc: 0 };
      next.crc = crc32(bytes, before.crc);
      this.#running = next;
    }
  }

  #queueDigest(): string {
    const lines: string[] = [];
    for (const queue of this.#store.queues()) {
      // A queue without a message has no file on one side and an empty one on the other.
      if (queue.max > 0) lines.push(`${queue.topic}@${queue.queueId}=${queue.max}`);
    }
    return digest(lines.sort());
  }
}

const digest = (lines: string[]): string =>
  createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');

/** Names the first part that differs; undefined when both prove the same. */
export function tokenDifference(
  ours: SealedTailToken,
  theirs: SealedTailToken,
): string | undefined {
  if (ours.epoch !== theirs.epoch) return `epoch ${ours.epoch} here, ${theirs.epoch} there`;
  if (ours.logEnd !== theirs.logEnd) {
    return `log end ${ours.logEnd} here, ${theirs.logEnd} there`;
  }
  if (ours.lastFileCrc !== theirs.lastFileCrc) return 'bytes of the last log file differ';
  if (ours.queueDigest !== theirs.queueDigest) return 'queue ends differ';
  if (ours.offsetDigest !== theirs.offsetDigest) return 'consumer or delay offsets differ';
  return sameLineage(ours, theirs) ? undefined : 'lineages differ';
}

function sameLineage(ours: SealedTailToken, theirs: SealedTailToken): boolean {
  const text = (token: SealedTailToken) =>
    token.lineage.map((one) => `${one.epoch} ${one.boot} ${one.startOffset}`).join('\n');
  return text(ours) === text(theirs);
}
