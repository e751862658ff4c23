// How far the timers have come, 56 bytes in Apache's order, in a file of 4096:
//   int64 lastReadTimeMs | lastTimerLogFlushPos | lastTimerQueueOffset | masterTimerQueueOffset
//   | data version: stateVersion, timestamp, counter
// Meaning: each record of the timer queue before the queue offset is in the wheel or delivered, and each
// slot before the read time is delivered; the deliveries are in the log, stored at `timestampMs` or before.
// Ours: stateVersion is the epoch that wrote it; bytes 64-79, which Apache leaves 0, say that a standby
// copied it from its source and under which epoch. Source: RocketMQ TimerCheckpoint (5.5.0), layout only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../../base/index.ts';
import { readLong, writeLong } from './timer-unit.ts';

const FILE_BYTES = 4_096;
export const CHECKPOINT_BYTES = 56;
const MARK_AT = 64;
const MARK = 0x4452_544d;

export interface TimerCheckpoint {
  readTimeMs: number;
  flushedPos: number;
  queueOffset: number;
  stateVersion: number;
  timestampMs: number;
  counter: number;
}

export interface SavedCheckpoint extends TimerCheckpoint {
  /** Epoch under which a standby copied it; undefined = written by whoever delivered. */
  mirroredIn: number | undefined;
}

export function encodeCheckpoint(state: TimerCheckpoint): Buffer {
  const out = Buffer.alloc(CHECKPOINT_BYTES);
  const words = [
    state.readTimeMs,
    state.flushedPos,
    state.queueOffset,
    state.queueOffset,
    state.stateVersion,
    state.timestampMs,
    state.counter,
  ];
  for (const [index, word] of words.entries()) writeLong(out, index * 8, word);
  return out;
}

/** @returns undefined when the bytes are too few or no offsets */
export function decodeCheckpoint(bytes: Buffer): TimerCheckpoint | undefined {
  if (bytes.length < CHECKPOINT_BYTES) return undefined;
  const word = (index: number): number => readLong(bytes, index * 8);
  const state = {
    readTimeMs: word(0),
    flushedPos: word(1),
    // Invariant of Apache: the smaller one is certain.
    queueOffset: Math.min(word(2), word(3)),
    stateVersion: word(4),
    timestampMs: word(5),
    counter: word(6),
  };
  return Object.values(state).every((value) => Number.isSafeInteger(value) && value >= 0)
    ? state
    : undefined;
}

export function readCheckpoint(file: string): SavedCheckpoint | undefined {
  if (!fs.existsSync(file)) return undefined;
  const bytes = fs.readFileSync(file);
  const state = decodeCheckpoint(bytes);
  if (state === undefined) return undefined;
  const isMarked = bytes.length >= MARK_AT + 16 && bytes.readInt32BE(MARK_AT) === MARK;
  return { ...state, mirroredIn: isMarked ? readLong(bytes, MARK_AT + 8) : undefined };
}

/** Durable when it resolves; one write of one sector, so it is whole or the old one. */
export async function writeCheckpoint(file: string, state: SavedCheckpoint): Promise<void> {
  const bytes = Buffer.alloc(FILE_BYTES);
  encodeCheckpoint(state).copy(bytes);
  if (state.mirroredIn !== undefined) {
    bytes.writeInt32BE(MARK, MARK_AT);
    writeLong(bytes, MARK_AT + 8, state.mirroredIn);
  }
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const handle = await fs.promises.open(file, fs.existsSync(file) ? 'r+' : 'w+');
  try {
    await handle.write(bytes, 0, FILE_BYTES, 0);
    await handle.datasync();
  } catch (reason) {
    throw DrError.from(reason);
  } finally {
    await handle.close();
  }
}
