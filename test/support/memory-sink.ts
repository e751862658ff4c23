// A standby's store in memory behind the port ExactSink: byte-exact, epoch-checked, records verified.
// For link tests; what it lacks (files, queues) the real store has tests of its own for.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  epoch as asEpoch,
  commitLogOffset,
  DrError,
  type Epoch,
} from '../../core-broker/base/index.ts';
import { BLANK_MAGIC, decodeRecord, type LineageEntry } from '../../core-broker/protocol/index.ts';
import type { ExactSink, SinkPosition } from '../../replicator/index.ts';

export class MemorySink implements ExactSink {
  epoch = 1;
  lineage: LineageEntry[] = [];
  /** Appends so far. */
  appends = 0;
  /** Ends that were fsynced, in order. */
  flushedEnds: number[] = [];
  exported: { to: number; bytes: Buffer }[] = [];
  /** Set: the next appends throw it. */
  refuse: DrError | undefined;
  /** Set: pendingBytes() answers this. */
  pending = 0;
  flushGate: Promise<void> | undefined;
  /** Set: bytes from here on are taken but wait to be checked. */
  heldFrom: number | undefined;
  #fault: DrError | undefined;
  #onChecked: { resolve: () => void; reject: (reason: DrError) => void }[] = [];
  #start = 0;
  #bytes = Buffer.alloc(0);
  #end = 0;
  #validated = 0;
  #last = -1;
  #onDrained: (() => void)[] = [];

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end - this.#start);
  }

  get end(): number {
    return this.#end;
  }

  digest(): string {
    return createHash('sha256').update(this.bytes).digest('hex');
  }

  /** Puts log bytes in, as if they had been copied before. */
  preload(bytes: Buffer, start = 0): void {
    this.#start = start;
    this.#end = start;
    this.#validated = start;
    this.append(start, bytes, asEpoch(this.epoch));
  }

  position(): SinkPosition {
    return {
      offset: commitLogOffset(this.#validated),
      epoch: asEpoch(this.epoch),
      lastRecordCrc: this.#last < 0 ? 0 : crc32(this.readRecord(this.#last)),
      lastRecordOffset: this.#last,
      lineage: [...this.lineage],
    };
  }

  append(offset: number, bytes: Buffer, epoch: Epoch): void {
    if (this.refuse) throw this.refuse;
    if (this.#fault) throw this.#fault;
    if (epoch !== this.epoch) throw new DrError('FENCED', `epoch ${epoch} is not ${this.epoch}`);
    if (this.#end === 0 && offset > 0) {
      this.#start = offset;
      this.#end = offset;
      this.#validated = offset;
    }
    if (offset !== this.#end) throw new DrError('CORRUPT', `byte ${offset}, end ${this.#end}`);
    this.appends++;
    this.#reserve(this.#end - this.#start + bytes.length);
    bytes.copy(this.#bytes, this.#end - this.#start);
    this.#end += bytes.length;
    this.#validate();
  }

  validatedEnd() {
    return commitLogOffset(this.#checkedEnd);
  }

  get #checkedEnd(): number {
    return Math.min(this.#validated, this.heldFrom ?? Number.MAX_SAFE_INTEGER);
  }

  /** What was held is checked now. */
  check(): void {
    this.heldFrom = undefined;
    for (const { resolve } of this.#onChecked.splice(0)) resolve();
  }

  /** What was held is damaged: the copy ends before it. */
  findDamage(): void {
    const at = this.heldFrom ?? this.#validated;
    this.heldFrom = undefined;
    this.#cutTo(at);
    this.#fault = new DrError('CORRUPT', `damaged record at ${at}`);
    for (const { reject } of this.#onChecked.splice(0)) reject(this.#fault);
  }

  pendingBytes(): number {
    return this.pending;
  }

  drained(): Promise<void> {
    return this.pending === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#onDrained.push(resolve));
  }

  /** The disk caught up. */
  drain(): void {
    this.pending = 0;
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }

  checkedMore(): Promise<void> {
    if (this.#fault) return Promise.reject(this.#fault);
    if (this.heldFrom === undefined || this.#validated <= this.heldFrom) return Promise.resolve();
    return new Promise((resolve, reject) => this.#onChecked.push({ resolve, reject }));
  }

  async settled(): Promise<void> {
    await this.checkedMore().catch(() => undefined);
  }

  async flush(): Promise<void> {
    const end = this.#end;
    await this.flushGate;
    this.flushedEnds.push(end);
  }

  async exportAndTruncate(to: number): Promise<string> {
    this.exported.push({ to, bytes: Buffer.from(this.bytes.subarray(to - this.#start)) });
    this.#cutTo(to);
    return `memory-${to}`;
  }

  #cutTo(to: number): void {
    this.#fault = undefined;
    this.#end = to;
    this.#validated = this.#start;
    this.#last = -1;
    this.#validate();
  }

  adoptLineage(epoch: Epoch, lineage: LineageEntry[]): void {
    if (epoch < this.epoch) throw new DrError('FENCED', `epoch ${epoch} is below ${this.epoch}`);
    this.epoch = epoch;
    this.lineage = [...lineage];
  }

  readRecord(offset: number): Buffer {
    const at = offset - this.#start;
    return this.#bytes.subarray(at, at + this.#bytes.readInt32BE(at));
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2, 65_536));
    this.#bytes.copy(larger);
    this.#bytes = larger;
  }

  #validate(): void {
    for (;;) {
      const at = this.#validated - this.#start;
      const left = this.#end - this.#validated;
      if (left < 8) return;
      const size = this.#bytes.readInt32BE(at);
      const isBlank = this.#bytes.readInt32BE(at + 4) === BLANK_MAGIC;
      if (size < 8 || size > 8 * 1024 * 1024) throw new DrError('CORRUPT', `size ${size}`);
      if (left < size) return;
      if (!isBlank) {
        const record = decodeRecord(this.#bytes.subarray(at, at + size));
        if (record.physicalOffset !== this.#validated) {
          throw new DrError('CORRUPT', `record of byte ${record.physicalOffset}`);
        }
        this.#last = this.#validated;
      }
      this.#validated += size;
    }
  }
}
