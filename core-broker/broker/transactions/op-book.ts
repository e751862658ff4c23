// The op messages of one round: which half offsets they settle, and how far the op queue is done with.
// Ops are read 32 at a time and only when a half message is not yet known to be settled.
// An op is done when all half messages it names were met by the walk, lie before it, or were named by an
// earlier op; the position moves over ops that are done without a gap. Body: `12` (4.9) or `12,13,` (5.x).
// Source: TransactionalMessageServiceImpl.fillOpRemoveMap, behaviour only.
import { type DecodedRecord, Property, parseMessageProperties } from '../../protocol/index.ts';
import type { HalfQueues } from './half-queues.ts';
import { OP_TAG } from './op-writer.ts';

/** Late ops kept in memory; more would be a producer gone wild. */
const LATE_MAX = 100_000;

export class OpBook {
  readonly #queues: HalfQueues;
  readonly #late: Set<number>;
  /** Half offset -> the op that settles it. */
  readonly #settled = new Map<number, number>();
  /** Op offset -> how many of its half messages were not met yet. */
  readonly #open = new Map<number, number>();
  /** Done ops and holes from the position on: offset -> where to go on. */
  readonly #done = new Map<number, number>();
  #next: number;
  #position: number;

  /** @param late  receives half offsets that were settled after the walk had passed them */
  constructor(queues: HalfQueues, position: number, late: Set<number>) {
    this.#queues = queues;
    this.#position = position;
    this.#next = position;
    this.#late = late;
  }

  /** Next op offset that is not done with. */
  get position(): number {
    for (;;) {
      const next = this.#done.get(this.#position);
      if (next === undefined) return this.#position;
      this.#done.delete(this.#position);
      this.#position = next;
    }
  }

  /** True when the half message at `at`, where the walk stands, is settled. */
  take(at: number): boolean {
    while (!this.#settled.has(at)) if (!this.#readMore(at)) return false;
    const op = this.#settled.get(at) as number;
    this.#settled.delete(at);
    const left = (this.#open.get(op) as number) - 1;
    if (left > 0) this.#open.set(op, left);
    else {
      this.#open.delete(op);
      this.#done.set(op, op + 1);
    }
    return true;
  }

  /** False at the end of the op queue. */
  #readMore(at: number): boolean {
    const { records, next } = this.#queues.ops(this.#next);
    if (records.length === 0) {
      if (next <= this.#next) return false;
      this.#done.set(this.#next, next);
    }
    for (const record of records) {
      if (record.queueOffset > this.#next) this.#done.set(this.#next, record.queueOffset);
      this.#note(record, at);
      this.#next = record.queueOffset + 1;
    }
    if (next > this.#next) {
      if (records.length > 0) this.#done.set(this.#next, next);
      this.#next = next;
    }
    return true;
  }

  #note(op: DecodedRecord, at: number): void {
    let count = 0;
    for (const offset of offsetsOf(op)) {
      if (offset < at) this.#keepLate(offset);
      else if (!this.#settled.has(offset)) {
        this.#settled.set(offset, op.queueOffset);
        count++;
      }
    }
    if (count > 0) this.#open.set(op.queueOffset, count);
    else this.#done.set(op.queueOffset, op.queueOffset + 1);
  }

  #keepLate(offset: number): void {
    this.#late.add(offset);
    if (this.#late.size <= LATE_MAX) return;
    for (const oldest of this.#late) {
      this.#late.delete(oldest);
      return;
    }
  }
}

function offsetsOf(op: DecodedRecord): number[] {
  if (parseMessageProperties(op.properties).get(Property.TAGS) !== OP_TAG) return [];
  return op.body
    .toString()
    .split(',')
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number);
}
