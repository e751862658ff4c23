// Finds header and body of a frame and runs the scanner of its header type.
import { scanBinaryHeader } from './binary-header.ts';
import type { HeaderView } from './header-view.ts';
import { scanJsonHeader, type TableOf } from './json-header.ts';

const PREFIX_BYTES = 8;

/** One frame in a chunk, length word included. */
export interface FrameRange {
  start: number;
  end: number;
}

const headerRange: FrameRange = { start: 0, end: 0 };

/** Scans the frame [start, end) of `chunk` into `view`; false = take the generic path. */
export function scanFrame(
  chunk: Buffer,
  frame: FrameRange,
  view: HeaderView,
  tableOf: TableOf,
): boolean {
  const { start, end } = frame;
  if (end - start < PREFIX_BYTES) return false;
  const type = chunk[start + 4]!;
  const headerLength = (chunk[start + 5]! << 16) | (chunk[start + 6]! << 8) | chunk[start + 7]!;
  const headerStart = start + PREFIX_BYTES;
  const headerEnd = headerStart + headerLength;
  if (headerEnd > end || type > 1) return false;
  view.reset();
  view.headerStart = headerStart;
  view.bodyStart = headerEnd;
  view.bodyLength = end - headerEnd;
  headerRange.start = headerStart;
  headerRange.end = headerEnd;
  return type === 0
    ? scanJsonHeader(chunk, headerRange, view, tableOf)
    : scanBinaryHeader(chunk, headerRange, view, tableOf);
}
