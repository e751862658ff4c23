// The ends of the log, shared by append, writer, link and dispatcher: plain numbers in one object.
// Invariant: min <= dispatched <= written <= end, flushed <= written. `durable` is what may be
// acknowledged: written (ASYNC_FLUSH) or synced (SYNC_FLUSH).
import { DrError } from '../../base/index.ts';

export class LogState {
  /** End of what was appended. */
  end = 0;
  /** End of what reached the kernel. */
  written = 0;
  /** End of what is on disk for sure. */
  flushed = 0;
  /** End of what may be acknowledged. */
  durable = 0;
  /** End of whole, checked and dispatched records. */
  dispatched = 0;
  /** Offset of the newest whole record before `dispatched`, -1 when none is known. */
  lastRecord = -1;
  /** Store time of that record. */
  lastStoreTimestampMs = 0;
  /** Grows with every cut: what was found out before says nothing about bytes behind it. */
  cuts = 0;
  /** Clock of this loop turn for store timestamps; 0 = read it. The writer clears it each turn. */
  nowMs = 0;
  /** The disk has no room: appends are refused, reads go on; clears itself. */
  isDiskFull = false;
  /** Free space is below the warning level: appends are refused until retention frees some. */
  isDiskLow = false;
  /** The disk of queues or index has no room: records are kept and not readable yet; clears itself. */
  isQueueDiskFull = false;
  /** What the scrubber found, first of each file. */
  damage: { file: string; offset: number }[] = [];
  /** A write or sync failed for another reason: nothing is acknowledged any more. */
  failure: DrError | undefined;

  /** @throws DrError when the disk cannot take an append now */
  checkWritable(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.isDiskFull || this.isDiskLow) {
      throw new DrError('DISK_FULL', 'the disk of the commit log has no room', {
        hint: 'free space; writes go on by themselves',
      });
    }
  }

  /** What was appended behind `offset` is given up; nobody was told of it. */
  giveUp(offset: number): void {
    this.cuts++;
    this.end = offset;
    this.written = offset;
    this.durable = offset;
    this.flushed = Math.min(this.flushed, offset);
  }

  /** Everything up to `offset` is there; used at boot and after a cut. */
  resetTo(offset: number): void {
    this.cuts++;
    this.end = offset;
    this.written = offset;
    this.flushed = offset;
    this.durable = offset;
    this.dispatched = offset;
  }
}
