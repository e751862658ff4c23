// The road of runs: frames of one socket read that are like earlier sends of their connection go to the send
// kernel in one call; here is what is done once per run. Frames it does not take are handled one by one.
// Invariant: whatever would be refused is left to the road that says why; the guard of the store is asked
// once per run, in the tick of the run.
import { DrError } from '../../base/index.ts';
import { sendLayout as at } from '../../kernel/index.ts';
import { Perm } from '../../protocol/index.ts';
import type { MessageStore, TopicHandle } from '../../store/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import type { ReplyRelease, ReplyRun, Session } from '../replies/index.ts';
import { type KnownSend, queuesOf } from './known-sends.ts';

const { CALL } = at;
/** Nothing is read behind the memory of the frames. */
const CHUNK_ROOM = at.CHUNK_BYTES - at.SLACK_BYTES;

export class SendRuns {
  readonly #context: HandlerContext;
  readonly #release: ReplyRelease;
  readonly #run = {
    topics: [] as TopicHandle[],
    queueCounts: [] as number[],
    bodyBytesMax: 0,
  };
  /** What the call's shapes count for. */
  readonly #counted: Topic[] = [];
  /** Bytes [from, to) of the chunk lie in the kernel. */
  #chunk: Buffer | undefined;
  #from = 0;
  #to = 0;

  constructor(context: HandlerContext, release: ReplyRelease) {
    this.#context = context;
    this.#release = release;
  }

  /** @returns the position behind the frames that were taken */
  accept(session: Session, chunk: Buffer, start: number, end: number): number {
    const { config, store } = this.#context.parts;
    const isClosed = (config.brokerPermission & Perm.WRITE) === 0;
    if (isClosed || config.startAcceptSendRequestTimeStamp > 0) return start;
    if (!this.#tellShapes(session)) return start;
    const { ints } = store.sendKernel;
    const place = this.#load(chunk, start, end);
    ints[(CALL + at.CALL_AT) / 4] = place;
    ints[(CALL + at.CALL_END) / 4] = at.CHUNK + this.#to - this.#from;
    this.#run.bodyBytesMax = config.maxMessageSize;
    const count = this.#append(store);
    if (count === 0) return start;
    this.#count();
    this.#hold(session, count);
    return start + (ints[(CALL + at.CALL_AT) / 4] as number) - place;
  }

  /** The next chunk may be the same buffer with other bytes. */
  forgetChunk(): void {
    this.#chunk = undefined;
  }

  #append(store: MessageStore): number {
    try {
      return store.appendRun(this.#run);
    } catch (reason) {
      // What closes the store to writes is told to each send by its own append.
      if (DrError.is(reason, 'FENCED', 'NOT_MASTER')) return 0;
      throw reason;
    }
  }

  /** @returns false when the connection has no shape for the kernel */
  #tellShapes(session: Session): boolean {
    const { topics, queueCounts } = this.#run;
    topics.length = 0;
    queueCounts.length = 0;
    this.#counted.length = 0;
    session.knownSends?.forEachValid((known) => this.#tellShape(known));
    const next = topics.length;
    const { ints } = this.#context.parts.store.sendKernel;
    if (next < at.SHAPES_MAX) ints[shapeEntry(next)] = 0;
    return next > 0;
  }

  #tellShape({ kernelShape, topic }: KnownSend): void {
    if (kernelShape === undefined) return;
    const { sendKernel } = this.#context.parts.store;
    const { topics, queueCounts } = this.#run;
    sendKernel.ints[shapeEntry(topics.length)] = sendKernel.place(kernelShape);
    topics.push(topic.handle);
    queueCounts.push(queuesOf(topic));
    this.#counted.push(topic);
  }

  /** @returns where the frames begin in the kernel */
  #load(chunk: Buffer, start: number, end: number): number {
    const isThere = chunk === this.#chunk && start >= this.#from && end <= this.#to;
    if (!isThere) {
      this.#chunk = chunk;
      this.#from = start;
      this.#to = Math.min(end, start + CHUNK_ROOM);
      this.#context.parts.store.sendKernel.load(chunk, start, this.#to);
    }
    return at.CHUNK + start - this.#from;
  }

  #count(): void {
    const { stats } = this.#context;
    const { ints } = this.#context.parts.store.sendKernel;
    for (let i = 0; i < this.#counted.length; i++) {
      const done = (CALL + at.DONE_SHAPES + i * at.DONE_SHAPE_BYTES) / 4;
      const messages = ints[done] as number;
      const bytes = ints[done + 1] as number;
      const topic = this.#counted[i] as Topic;
      topic.putCount += messages;
      topic.putBytes += bytes;
      stats.putTotal += messages;
      stats.putBytesTotal += bytes;
    }
  }

  #hold(session: Session, count: number): void {
    const { sendKernel } = this.#context.parts.store;
    const { ints, doubles, bytes } = sendKernel;
    const run: ReplyRun = {
      bytes: bytes.subarray(at.REPLIES, ints[(CALL + at.DONE_REPLY_END) / 4]),
      ends: doubles.subarray(at.ENDS / 8, at.ENDS / 8 + count),
      stops: ints.subarray(at.STOPS / 4, at.STOPS / 4 + count),
      opaques: ints.subarray(at.OPAQUES / 4, at.OPAQUES / 4 + count),
    };
    session.replies.holdRun(run, this.#context.parts.clock.monotonicMs());
    this.#release.held(session, run.ends[count - 1] as number);
  }
}

const shapeEntry = (n: number): number => (CALL + at.CALL_SHAPES + n * at.CALL_SHAPE_BYTES) / 4;
