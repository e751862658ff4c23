// What a connection sends again and again: shapes of its last plain sends, each with the record that is
// ready but for what differs. A send that fits skips scan, property search and topic lookup.
// Invariant: only the plain road is remembered, and only as long as its topic and the configuration of
// the topic are the very objects it was learned with; everything else takes the scanned road.

import type { KernelShape } from '../../kernel/index.ts';
import { type SendRequestView, type SendShape, shapeOf } from '../../protocol/index.ts';
import type { RecordSource } from '../../store/index.ts';
import type { Topic } from '../metadata/index.ts';

/** Queues that a send may name. */
export const queuesOf = ({ config }: Topic): number =>
  Math.max(config.readQueueNums, config.writeQueueNums);

/** One producer process sends few kinds of headers at a time. */
const KNOWN_MAX = 4;
/** Sends that fit nothing before one of them is learned: learning costs as much as some scans. */
const MISSES_FIRST = 8;
const MISSES_WHEN_FULL = 256;

export interface KnownSend {
  readonly shape: SendShape;
  readonly topic: Topic;
  readonly config: Topic['config'];
  /** Filled but for queue, time and body. Who sets the body takes it out again. */
  readonly record: RecordSource;
  readonly uniqueStart: number;
  readonly uniqueLength: number;
  readonly isOneway: boolean;
  /** For runs of such sends; undefined = they are taken one by one. */
  readonly kernelShape: KernelShape | undefined;
}

export interface Lesson {
  chunk: Buffer;
  view: SendRequestView;
  topic: Topic;
  /** As it was appended, with marks. */
  record: RecordSource;
  /** Makes the shape for runs, of a send that is answered. */
  kernelShape?: (shape: SendShape) => KernelShape | undefined;
}

/** Why: a record that goes on holding its last body holds the chunk of a whole socket read. */
export const NO_BODY: Buffer = Buffer.alloc(0);

export class KnownSends {
  readonly #known: KnownSend[] = [];
  #next = 0;
  #misses = 0;

  /** The known send that the frame fits; its shape then holds what differs. */
  find(chunk: Buffer, start: number, end: number): KnownSend | undefined {
    const known = this.#known;
    for (let i = 0; i < known.length; i++) {
      const each = known[i]!;
      if (each.shape.fits(chunk, start, end)) return isValid(each) ? each : this.#forget(i);
    }
    return undefined;
  }

  /** Also those that are valid no more. */
  get all(): readonly KnownSend[] {
    return this.#known;
  }

  /** A plain send that fitted nothing was appended. */
  missed(lesson: Lesson): void {
    // Why: the signature of a signed send is never the same again.
    if (lesson.view.hasCredentials) return;
    const isFull = this.#known.length === KNOWN_MAX;
    if (++this.#misses < (isFull ? MISSES_WHEN_FULL : MISSES_FIRST)) return;
    this.#misses = 0;
    const learned = learn(lesson);
    if (learned === undefined) return;
    this.#known[isFull ? this.#next : this.#known.length] = learned;
    this.#next = (this.#next + 1) % KNOWN_MAX;
  }

  #forget(at: number): undefined {
    this.#known.splice(at, 1);
    this.#next = 0;
  }
}

/** Its topic is still what it was when the send was learned. */
export const isValid = ({ topic, config }: KnownSend): boolean =>
  topic.config === config && !topic.isGone;

function learn({ chunk, view, topic, record, kernelShape }: Lesson): KnownSend | undefined {
  const { marks, properties, propertiesLength } = record;
  // Why: a key of our making would be the same for every send.
  if (marks === undefined || marks.uniqStart >= view.propertiesLength) return undefined;
  const shape = shapeOf(chunk, view, propertiesLength - view.propertiesLength);
  if (shape === undefined) return undefined;
  properties.copy(shape.text, 0, 0, propertiesLength);
  return {
    shape,
    topic,
    config: topic.config,
    record: {
      ...record,
      body: NO_BODY,
      properties: shape.text,
      propertiesStart: 0,
      marks: { ...marks },
    },
    uniqueStart: marks.uniqStart,
    uniqueLength: marks.uniqEnd - marks.uniqStart,
    isOneway: view.isOneway,
    kernelShape: view.isOneway ? undefined : kernelShape?.(shape),
  };
}
