// Checks link bytes where they lie, in the log's files, behind the store that writes them: parses each
// record, compares its position and CRC, and puts its digest into the ring. Runs on a thread of its own;
// the store runs it itself when that thread is lost.
// Usual records are walked by the kernel, many at a call; each of the others, everything damaged and every
// end marker is looked at here, by the full reader.
// Why from the files: what waits to be checked costs no memory, however much it is, and what is checked
// is what a reader will find there.
// Invariant: a record's row follows the rows of everything before it under the same order; after a
// damaged record no row follows. Bytes beyond the ordered end are never looked at.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../base/index.ts';
import { RecordKernel } from '../../kernel/index.ts';
import { mappedFileName } from '../layout.ts';
import { DAMAGE, RecordCursor } from '../log/record-bytes.ts';
import { DelayLevels } from '../queue/digest/delay-levels.ts';
import { Digester } from '../queue/digest/digester.ts';
import { type Topic, TopicTable } from '../queue/topic-table.ts';
import { type CheckSetup, type DigestRing, ROW } from './digest-ring.ts';

/** Fits into the second-level cache, so that the CRC finds the bytes there. */
const PIECE_BYTES = 256 * 1024;
/** A size above this is no size: frames carry 16 MiB at most. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** What became of a step: go on, wait for bytes or an order, wait for room in the ring. */
export type StepResult = 'moved' | 'idle' | 'full';

export class LogFollower {
  readonly #ring: DigestRing;
  readonly #setup: Omit<CheckSetup, 'memory'>;
  readonly #digester: Digester;
  readonly #topics = new TopicTable('', 0);
  /** Order under which the reader was told of a topic, by topic number. */
  readonly #told: number[] = [];
  readonly #cursor: RecordCursor;
  readonly #kernel: RecordKernel;
  #capacity = PIECE_BYTES;
  /** Bytes of the log in the kernel's memory: [#base, #base + #length). */
  #base = 0;
  #length = 0;
  #order = 0;
  /** Start of the next record. */
  #position = 0;
  #end = 0;
  #fileEnd = 0;
  #isDamaged = false;
  /** The end for which the reader knows that we wait. */
  #idleEnd: number | undefined;
  #topic: Topic | undefined;
  #open: { start: number; fd: number } | undefined;

  constructor(ring: DigestRing, setup: Omit<CheckSetup, 'memory'>) {
    this.#ring = ring;
    this.#setup = setup;
    this.#kernel = new RecordKernel(PIECE_BYTES, setup.hasIndex);
    this.#cursor = new RecordCursor(setup.comparesRecordCrc);
    this.#digester = new Digester(new DelayLevels(setup.messageDelayLevel), setup.hasIndex);
  }

  /** Checks at most one piece and publishes. @throws what reading the files throws */
  step(): StepResult {
    try {
      return this.#advance();
    } catch (reason) {
      // Expected when the files were cut meanwhile: the next order is on its way.
      if (this.#ring.endUnder(this.#order) === undefined) return 'moved';
      throw reason;
    } finally {
      this.#ring.publish();
    }
  }

  close(): void {
    if (this.#open !== undefined) fs.closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #advance(): StepResult {
    const order = this.#ring.currentOrder();
    if (order === undefined) return 'moved';
    if (order.number !== this.#order && !this.#begin(order.number, order.from)) return 'full';
    if (this.#isDamaged || this.#order === 0) return 'idle';
    const end = this.#ring.endUnder(this.#order);
    if (end === undefined) return 'moved';
    this.#end += (end - (this.#end | 0)) >>> 0;
    if (this.#isEverythingSeen() && !this.#load()) return this.#rest(end);
    return this.#checkPiece(end);
  }

  #begin(order: number, from: number): boolean {
    if (!this.#ring.put(ROW.begin, order)) return false;
    this.close();
    this.#kernel.forget();
    this.#order = order;
    this.#position = from;
    this.#end = from;
    this.#base = from;
    this.#length = 0;
    this.#fileEnd = from - (from % this.#setup.fileSize) + this.#setup.fileSize;
    this.#isDamaged = false;
    this.#idleEnd = undefined;
    return true;
  }

  #isEverythingSeen(): boolean {
    return this.#position >= this.#base + this.#length;
  }

  /** Reads from the position on, as much as fits. False when nothing new is there. */
  #load(): boolean {
    const known = this.#base + this.#length - this.#position;
    const there = Math.min(this.#end, this.#fileEnd) - this.#position;
    if (there <= Math.max(0, known)) return false;
    const bytes = this.#kernel.bytes.subarray(0, Math.min(this.#capacity, there));
    this.#length = fs.readSync(this.#fd(), bytes, 0, bytes.length, this.#placeInFile());
    this.#base = this.#position;
    if (this.#length === bytes.length) return true;
    throw new DrError('CORRUPT', `the log file ends before byte ${this.#base + bytes.length}`);
  }

  #checkPiece(end: number): StepResult {
    const buffer = this.#kernel.bytes;
    for (;;) {
      this.#walkUsual();
      if (this.#position === this.#fileEnd) this.#nextFile();
      if (this.#isEverythingSeen()) return 'moved';
      const at = this.#position - this.#base;
      const fileLeft = this.#fileEnd - this.#position;
      const kind = this.#cursor.read(buffer, at, this.#length, fileLeft);
      if (kind === 'record') {
        const damage = this.#damageOf();
        if (damage !== 0) return this.#refuse(damage);
        if (!this.#putRecord()) return 'full';
        this.#position += this.#cursor.size;
      } else if (kind === 'blank') {
        if (this.#end < this.#fileEnd) return this.#rest(end);
        if (!this.#ring.put(ROW.blank, fileLeft)) return 'full';
        this.#position = this.#fileEnd;
        this.#nextFile();
        return 'moved';
      } else if (kind === 'bad') {
        return this.#refuse(0);
      } else {
        return this.#more(end);
      }
    }
  }

  /** Moves over the records that the kernel passes; it knows no checksums in properties. */
  #walkUsual(): void {
    if (this.#setup.comparesRecordCrc === true) return;
    const kernel = this.#kernel;
    const from = this.#position - this.#base;
    kernel.walk({
      from,
      to: this.#length,
      offset: this.#position,
      fileLeft: this.#fileEnd - this.#position,
      roomWords: this.#ring.roomForRows(),
    });
    if (kernel.words > 0) this.#ring.putRows(kernel.rows());
    this.#position += kernel.next - from;
  }

  /** The record at the position goes on behind what was read. */
  #more(end: number): StepResult {
    const wanted = this.#length - (this.#position - this.#base) < 8 ? 8 : this.#cursor.size;
    if (wanted > RECORD_BYTES_MAX) return this.#refuse(0);
    if (this.#end - this.#position < wanted) return this.#rest(end);
    if (wanted > this.#capacity) {
      this.#kernel.grow(wanted);
      this.#capacity = wanted;
    }
    this.#length = this.#position - this.#base;
    this.#load();
    return 'moved';
  }

  /** Index into DAMAGE, 0 = none (a record that is none at all never comes here). */
  #damageOf(): number {
    const damage = this.#cursor.damageAt(this.#kernel.bytes, this.#position);
    if (damage !== 0) return damage;
    this.#topic = this.#topicOf();
    return this.#topic === undefined ? 3 : 0;
  }

  #topicOf(): Topic | undefined {
    const { topicStart, topicLength } = this.#cursor;
    try {
      return this.#topics.ofBytes(this.#kernel.bytes, topicStart, topicLength);
    } catch (reason) {
      // A name that is no name: the record cannot be what its sender stored.
      if (DrError.is(reason, 'CORRUPT')) return undefined;
      throw reason;
    }
  }

  #refuse(damage: number): StepResult {
    if (DAMAGE[damage] === undefined) throw new Error(`damage ${damage} has no name`);
    this.#isDamaged = true;
    if (this.#ring.put(ROW.damage, damage)) return 'idle';
    this.#isDamaged = false;
    return 'full';
  }

  #putRecord(): boolean {
    const topic = this.#topic as Topic;
    if (this.#told[topic.id] !== this.#order && !this.#tell(topic)) return false;
    const digest = this.#digester.make(this.#kernel.bytes, this.#cursor, topic);
    if (!this.#ring.putRecord(digest, topic.id)) return false;
    this.#letWalk(topic);
    return true;
  }

  #tell(topic: Topic): boolean {
    if (!this.#ring.putTopic(topic.id, topic.bytes)) return false;
    this.#told[topic.id] = this.#order;
    return true;
  }

  /** The kernel may pass the topic's records from now on: the reader was told of it under this order. */
  #letWalk({ id, keyHash, isSchedule }: Topic): void {
    // Why not: delayed messages carry their due time in place of the tag's hash.
    if (isSchedule) return;
    const { topicStart: start, topicLength: length } = this.#cursor;
    this.#kernel.know({ start, length, number: id, keyHash });
  }

  /** Says once that everything up to `end` was looked at. */
  #rest(end: number): StepResult {
    if (this.#idleEnd === end) return 'idle';
    if (!this.#ring.put(ROW.idle, end)) return 'full';
    this.#idleEnd = end;
    return 'idle';
  }

  #nextFile(): void {
    this.#fileEnd += this.#setup.fileSize;
    this.#base = this.#position;
    this.#length = 0;
  }

  #placeInFile(): number {
    return this.#position - (this.#fileEnd - this.#setup.fileSize);
  }

  #fd(): number {
    const start = this.#fileEnd - this.#setup.fileSize;
    if (this.#open?.start === start) return this.#open.fd;
    this.close();
    const fd = fs.openSync(path.join(this.#setup.folder, mappedFileName(start)), 'r');
    this.#open = { start, fd };
    return fd;
  }
}
