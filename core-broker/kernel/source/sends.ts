// What the module `sends` offers: a run of like sends, from the frames of one socket read to records in the
// ring, their replies and their digests. A frame that fits no shape, or meets a limit, ends the run: the
// caller handles it on the road that says why. Everything here is what the JavaScript roads do for the
// same frame, byte for byte (property test).
// Invariant: nothing of a frame is written before it is certain that all of it will be; what lies behind
// the last record is not touched, because readers may still read it.
import {
  CALL,
  CALL_AT,
  CALL_BODY_MAX,
  CALL_END,
  CALL_PHYSICAL,
  CALL_RECORD_AT,
  CALL_RECORD_END,
  CALL_ROW_AT,
  CALL_ROW_END,
  CALL_SHAPE_BYTES,
  CALL_SHAPES,
  DONE_COUNT,
  DONE_REPLY_END,
  DONE_SHAPE_BYTES,
  DONE_SHAPES,
  ENDS,
  FRAME,
  FRAME_OPAQUE,
  FRAME_PHYSICAL,
  FRAME_QUEUE,
  FRAME_QUEUE_OFFSET,
  FRAME_SIZE,
  HOLDS_MAX,
  OPAQUES,
  REPLIES,
  REPLIES_BYTES,
  ROW_BYTES_MAX,
  SHAPE_HEADER,
  SHAPE_RECORD,
  SHAPE_REPLY_MAX,
  SHAPES_MAX,
  STOPS,
} from '../send-layout';
import { fits, PREFIX, readNumbers } from './frames';
import { noteKeys, writeRecord, writeRow } from './send-records';
import { writeReply } from './send-replies';

export { prepare } from './crc32';

/** Appends frames of [CALL_AT, CALL_END) as long as they fit. @returns how many */
export function run(): i32 {
  begin();
  let at = load<usize>(CALL + CALL_AT);
  const end = load<usize>(CALL + CALL_END);
  let call: usize = CALL + CALL_SHAPES;
  while (load<u32>(CALL + DONE_COUNT) < u32(HOLDS_MAX) && end - at >= PREFIX) {
    const length = usize(bswap<u32>(load<u32>(at)));
    if (length > end - at - 4) break;
    const stop = at + 4 + length;
    call = shapeOf(call, at, stop);
    if (call === 0 || !mayAppend(call, at + PREFIX, stop)) break;
    append(call, at + PREFIX, stop);
    at = stop;
  }
  store<usize>(CALL + CALL_AT, at);
  return load<i32>(CALL + DONE_COUNT);
}

function begin(): void {
  for (let i = 0; i < SHAPES_MAX; i++) {
    store<u64>(CALL + DONE_SHAPES + i * DONE_SHAPE_BYTES, 0);
  }
  store<i32>(CALL + DONE_COUNT, 0);
  store<i32>(CALL + DONE_REPLY_END, REPLIES);
}

/** The call's entry of the shape that the frame fits, 0 = none; `first` is tried first. */
function shapeOf(first: usize, at: usize, stop: usize): usize {
  const shape = load<usize>(first);
  if (shape !== 0 && fits(shape, at, stop)) return first;
  let call: usize = CALL + CALL_SHAPES;
  for (let i = 0; i < SHAPES_MAX; i++, call += CALL_SHAPE_BYTES) {
    const other = load<usize>(call);
    if (other === 0) return 0;
    if (call !== first && fits(other, at, stop)) return call;
  }
  return 0;
}

/** Reads the frame and holds it against every limit. */
function mayAppend(call: usize, header: usize, stop: usize): bool {
  const shape = load<usize>(call);
  if (!readNumbers(shape, header)) return false;
  const body = header + load<usize>(shape, SHAPE_HEADER);
  const size = load<usize>(shape, SHAPE_RECORD) + stop - body;
  if (stop - body > load<usize>(CALL + CALL_BODY_MAX)) return false;
  if (size > load<usize>(CALL + CALL_RECORD_END) - load<usize>(CALL + CALL_RECORD_AT)) return false;
  const row = load<usize>(CALL + CALL_ROW_AT);
  if (row + ROW_BYTES_MAX > load<usize>(CALL + CALL_ROW_END)) return false;
  const reply = load<usize>(CALL + DONE_REPLY_END);
  if (reply + load<usize>(shape, SHAPE_REPLY_MAX) > usize(REPLIES + REPLIES_BYTES)) return false;
  const queueId = load<u32>(FRAME + FRAME_QUEUE);
  if (queueId >= load<u32>(call, 8)) return false;
  const queueOffset = i64(load<f64>(load<usize>(call, 4) + (usize(queueId) << 3)));
  store<i64>(FRAME + FRAME_QUEUE_OFFSET, queueOffset);
  store<i64>(FRAME + FRAME_PHYSICAL, i64(load<f64>(CALL + CALL_PHYSICAL)));
  store<usize>(FRAME + FRAME_SIZE, size);
  return queueOffset >= 0 && noteKeys(shape, header, row);
}

function append(call: usize, header: usize, stop: usize): void {
  const shape = load<usize>(call);
  const record = load<usize>(CALL + CALL_RECORD_AT);
  const row = load<usize>(CALL + CALL_ROW_AT);
  writeRecord(record, shape, header, stop);
  const rowEnd = writeRow(row, shape, header);
  const reply = writeReply(load<usize>(CALL + DONE_REPLY_END), shape, header);
  const size = load<usize>(FRAME + FRAME_SIZE);
  const queue = load<usize>(call, 4) + (load<usize>(FRAME + FRAME_QUEUE) << 3);
  store<f64>(queue, f64(load<i64>(FRAME + FRAME_QUEUE_OFFSET) + 1));
  const end = f64(load<i64>(FRAME + FRAME_PHYSICAL) + i64(size));
  store<f64>(CALL + CALL_PHYSICAL, end);
  store<usize>(CALL + CALL_RECORD_AT, record + size);
  store<usize>(CALL + CALL_ROW_AT, rowEnd);
  count(call, size);
  hold(end, reply);
}

/** Messages and bytes of the shape. */
function count(call: usize, size: usize): void {
  const n = (call - usize(CALL + CALL_SHAPES)) / usize(CALL_SHAPE_BYTES);
  const done = usize(CALL + DONE_SHAPES) + n * usize(DONE_SHAPE_BYTES);
  store<u32>(done, load<u32>(done) + 1);
  store<usize>(done, load<usize>(done, 4) + size, 4);
}

/** What is needed to withhold the reply: the end of its record, the place behind it, its opaque. */
function hold(end: f64, reply: usize): void {
  const n = load<usize>(CALL + DONE_COUNT);
  store<f64>(usize(ENDS) + (n << 3), end);
  store<usize>(usize(STOPS) + (n << 2), reply - usize(REPLIES));
  store<i32>(usize(OPAQUES) + (n << 2), load<i32>(FRAME + FRAME_OPAQUE));
  store<usize>(CALL + DONE_REPLY_END, reply);
  store<usize>(CALL + DONE_COUNT, n + 1);
}
