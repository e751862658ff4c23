// The road of runs: frames of one socket read that are like earlier sends of their connection go to the send
// kernel in one call; here is what is done once per run. Frames it does not take are handled one by one.
// Invariant: whatever would be refused is left to the road that says why; the guard of the store is asked
// once per run, in the tick of the run.
import { DrError } from '../../base/index.ts';
import { sendLayout as at, type SendKernel } from '../../kernel/index.ts';
import { Perm } from '../../protocol/index.ts';
import type { MessageStore, TopicHandle } from '../../store/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import type { ReplyRelease, ReplyRun, Session } from '../replies/index.ts';
import { isValid, type KnownSend, queuesOf } from './known-sends.ts';

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
  #replies: ReplyRun | undefined;
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
    const all = session.knownSends?.all ?? [];
    let count = 0;
    for (let i = 0; i < all.length; i++) {
      if (this.#isTold(all[i] as KnownSend, count)) count++;
    }
    // Why not emptied before: an array that is cut to nothing gives its memory back.
    if (topics.length > count) {
      topics.length = count;
      queueCounts.length = count;
      this.#counted.length = count;
    }
    const { ints } = this.#context.parts.store.sendKernel;
    if (count < at.SHAPES_MAX) ints[shapeEntry(count)] = 0;
    return count > 0;
  }

  /** Makes it the `n`th shape of the call. @returns false when it is none for the kernel */
  #isTold(known: KnownSend, n: number): boolean {
    const { kernelShape, topic } = known;
    if (kernelShape === undefined || !isValid(known)) return false;
    const { sendKernel } = this.#context.parts.store;
    sendKernel.ints[shapeEntry(n)] = sendKernel.place(kernelShape);
    this.#run.topics[n] = topic.handle;
    this.#run.queueCounts[n] = queuesOf(topic);
    this.#counted[n] = topic;
    return true;
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
    const { clock, store } = this.#context.parts;
    this.#replies ??= repliesOf(store.sendKernel);
    const run = this.#replies;
    run.end = store.sendKernel.ints[(CALL + at.DONE_REPLY_END) / 4] as number;
    run.count = count;
    session.replies.holdRun(run, clock.monotonicMs());
    this.#release.held(session, run.ends[count - 1] as number);
  }
}

/** Where the kernel leaves its answers. */
const repliesOf = ({ bytes, doubles, ints }: SendKernel): ReplyRun => ({
  memory: bytes,
  start: at.REPLIES,
  end: at.REPLIES,
  count: 0,
  ends: doubles.subarray(at.ENDS / 8, at.ENDS / 8 + at.HOLDS_MAX),
  stops: ints.subarray(at.STOPS / 4, at.STOPS / 4 + at.HOLDS_MAX),
  opaques: ints.subarray(at.OPAQUES / 4, at.OPAQUES / 4 + at.HOLDS_MAX),
});

const shapeEntry = (n: number): number => (CALL + at.CALL_SHAPES + n * at.CALL_SHAPE_BYTES) / 4;
