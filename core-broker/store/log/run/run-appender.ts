// Appends a run of like sends by the send kernel, which writes records straight into the ring. What can
// refuse, and where the run must end, is decided here before the kernel runs: the room up to the end of the
// file, of the ring and of what may wait for the disk. Whatever is not taken goes through commit-log.ts.
// Invariant: queue offsets have one owner, ConsumeQueue.next: the kernel borrows them for the call.
import { LIMITS } from '../../../base/index.ts';
import { type SendKernel, sendLayout } from '../../../kernel/index.ts';
import type { AppendResult, SendRun } from '../../door.ts';
import { END_MARKER_BYTES } from '../../layout.ts';
import type { Topic } from '../../queue/topic-table.ts';
import type { LogFiles } from '../log-files.ts';
import type { LogState } from '../log-state.ts';
import type { Ring } from '../ring.ts';
import type { DigestRows } from './digest-rows.ts';

const { CALL, CALL_SHAPES, CALL_SHAPE_BYTES, QUEUES, QUEUES_BYTES, QUEUES_MAX } = sendLayout;
const NO_QUEUE = -1;

export interface RunParts {
  kernel: SendKernel;
  ring: Ring;
  files: LogFiles;
  state: LogState;
  rows: DigestRows;
}

export interface RunLimits {
  maxMessageSizeBytes: number;
  /** The kernel makes no checksums of whole records: nothing is taken in runs then. */
  appendsRecordCrc: boolean;
  hasIndex: boolean;
}

export class RunAppender {
  readonly #kernel: SendKernel;
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #rows: DigestRows;
  readonly #bodyMax: number;
  readonly #hasIndex: boolean;
  readonly #isOff: boolean;

  constructor(parts: RunParts, limits: RunLimits) {
    this.#kernel = parts.kernel;
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#rows = parts.rows;
    this.#bodyMax = limits.maxMessageSizeBytes;
    this.#hasIndex = limits.hasIndex;
    this.#isOff = limits.appendsRecordCrc;
  }

  /** @returns how many records were appended; 0 = the other road says why not */
  append(run: SendRun): number {
    const state = this.#state;
    if (this.#isOff) return 0;
    if (state.failure !== undefined || state.isDiskFull || state.isDiskLow) return 0;
    if (state.nowMs === 0) state.nowMs = Date.now();
    const { ints, doubles } = this.#kernel;
    const at = this.#ring.at(state.end);
    const room = this.#room(at);
    if (room <= 0) return 0;
    const call = CALL / 4;
    ints[call + sendLayout.CALL_BODY_MAX / 4] = Math.min(run.bodyBytesMax, this.#bodyMax);
    ints[call + sendLayout.CALL_RECORD_AT / 4] = this.#ring.address(at);
    ints[call + sendLayout.CALL_RECORD_END / 4] = this.#ring.address(at + room);
    ints[call + sendLayout.CALL_ROW_AT / 4] = this.#rows.next;
    ints[call + sendLayout.CALL_ROW_END / 4] = this.#rows.end;
    ints[call + sendLayout.CALL_HAS_INDEX / 4] = this.#hasIndex ? 1 : 0;
    doubles[(CALL + sendLayout.CALL_PHYSICAL) / 8] = state.end;
    doubles[(CALL + sendLayout.CALL_STORE_TIME) / 8] = state.nowMs;
    this.#lendQueues(run);
    const count = this.#kernel.run();
    if (count === 0) return 0;
    this.#takeQueues(run);
    this.#rows.added(state.end, ints[call + sendLayout.CALL_ROW_AT / 4] as number);
    state.end = doubles[(CALL + sendLayout.CALL_PHYSICAL) / 8] as number;
    return count;
  }

  /** The record that was appended last, as it stands in the ring. */
  recordOf({ physicalOffset, sizeBytes }: AppendResult): Buffer {
    const at = this.#ring.at(physicalOffset);
    return this.#ring.bytes.subarray(at, at + sizeBytes);
  }

  /** Bytes that may be written from `at` of the ring on in one piece. */
  #room(at: number): number {
    const { end, dispatched } = this.#state;
    return Math.min(
      this.#files.leftAt(end) - END_MARKER_BYTES,
      dispatched + LIMITS.unflushedBytesMax - end,
      this.#ring.capacity - at,
    );
  }

  #lendQueues({ topics, queueCounts }: SendRun): void {
    const { ints, doubles } = this.#kernel;
    for (let i = 0; i < topics.length; i++) {
      const topic = topics[i] as Topic;
      const owner = topics.indexOf(topic);
      const table = QUEUES + owner * QUEUES_BYTES;
      const count = Math.min(queueCounts[i] as number, QUEUES_MAX);
      const entry = (CALL + CALL_SHAPES + i * CALL_SHAPE_BYTES) / 4;
      ints[entry + 1] = table;
      ints[entry + 2] = count;
      if (owner !== i) continue;
      for (let q = 0; q < count; q++) doubles[table / 8 + q] = topic.queues[q]?.next ?? NO_QUEUE;
    }
  }

  #takeQueues({ topics, queueCounts }: SendRun): void {
    const { doubles } = this.#kernel;
    for (let i = 0; i < topics.length; i++) {
      const topic = topics[i] as Topic;
      if (topics.indexOf(topic) !== i) continue;
      const table = (QUEUES + i * QUEUES_BYTES) / 8;
      const count = Math.min(queueCounts[i] as number, QUEUES_MAX);
      for (let q = 0; q < count; q++) {
        const queue = topic.queues[q];
        if (queue !== undefined) queue.next = doubles[table + q] as number;
      }
    }
  }
}
