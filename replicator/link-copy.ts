// One life of a connection to the source: attach, cut what does not belong, copy until it ends.
// The log itself is the checkpoint: where to go on is asked of the sink, and within one process of #end,
// because a connection may have ended in the middle of a record.
// Order: checked -> fsync -> first report (it is an acknowledgement) -> bytes -> checked -> fsync -> next.
// Traps of the classic protocol handled here: report 0 means "last file only", so a log
// that begins at 0 is asked for from byte 1 and byte 0, always 0, is put back; the sink checks the record.
import { epoch as asEpoch, createLog, DrError, type Epoch } from '../core-broker/base/index.ts';
import { orAborted } from './abortable.ts';
import type { LinkConfig } from './config.ts';
import type { LinkFiles } from './link-files.ts';
import type { ExactSink, SinkPosition } from './ports.ts';
import type { Attachment, SourceSide } from './source/source-side.ts';
import { AckReporter } from './stream/ack-reporter.ts';
import { HaStream } from './stream/ha-stream.ts';
import { TokenBucket } from './stream/token-bucket.ts';

const log = createLog('link');
/** Attach, cut, attach again: histories have parted at most once per promotion or crash. */
const CUTS_MAX = 8;
/** Bytes that fail their check are fetched again this often before a human must look. */
const CORRUPT_TRIES_MAX = 3;
const BYTE_ZERO = Buffer.alloc(1);

export interface LinkCopyParts {
  sink: ExactSink;
  source: SourceSide;
  /** Address of the source, for messages and gap records. */
  address: string;
  config: LinkConfig;
  files: LinkFiles;
  onAttached(attachment: Attachment): void;
  onCopied(bytes: number): void;
}

export class LinkCopy {
  readonly #parts: LinkCopyParts;
  /** Exact end of what the sink took from this link; -1 = ask the sink. */
  #end = -1;
  #epoch: Epoch = asEpoch(0);
  #stream: HaStream | undefined;
  #acks: AckReporter | undefined;
  #corrupt = { at: -1, tries: 0 };
  #copied = 0;

  constructor(parts: LinkCopyParts) {
    this.#parts = parts;
  }

  /** Log bytes taken since the last call of run(). */
  get copied(): number {
    return this.#copied;
  }

  /** End of what the sink took, checked or not; -1 before the first attach. */
  get end(): number {
    return this.#end;
  }

  /** Ms without log bytes on an open connection that we do read; undefined otherwise. */
  idleMs(nowMs: number): number | undefined {
    if (this.#stream === undefined || this.#stream.isPaused) return undefined;
    return nowMs - this.#stream.lastDataMs;
  }

  /** Ends the connection, if there is one; run() then rejects with `reason`. */
  drop(reason: DrError): void {
    this.#stream?.close(reason);
  }

  /**
   * Attaches and copies until the connection is over.
   * @throws DrError always: NETWORK, TIMEOUT, REFUSED and PROTOCOL may be tried again; isFatal() says
   * which may not
   */
  async run(signal: AbortSignal): Promise<never> {
    this.#copied = 0;
    // Order: where the copy ends is only known when all of it is checked.
    await orAborted(this.#parts.sink.settled(), signal);
    signal.throwIfAborted();
    const attachment = await this.#attach(signal);
    signal.throwIfAborted();
    throw await this.#copy(attachment, signal);
  }

  async #attach(signal: AbortSignal): Promise<Attachment> {
    const { sink, source } = this.#parts;
    for (let cuts = 0; cuts <= CUTS_MAX; cuts++) {
      const position = sink.position();
      const attachment = await orAborted(this.#ask(source, position), signal);
      signal.throwIfAborted();
      if (attachment.verdict === 'truncate') {
        await this.#cut(attachment.truncateTo, 'the source has other bytes from here on');
        continue;
      }
      if (attachment.verdict !== 'resume') throw this.#refusal(attachment, position);
      await this.#adopt(attachment, position);
      return attachment;
    }
    throw new DrError('VERIFY_FAILED', 'the histories of source and copy do not meet');
  }

  async #ask(source: SourceSide, position: SinkPosition): Promise<Attachment> {
    try {
      return await source.attach(position);
    } catch (reason) {
      // The source's own fence is its business: only the sink may say that this link is stale.
      if (!DrError.is(reason, 'FENCED')) throw reason;
      throw new DrError('REFUSED', reason.message, { cause: reason, retry: 'back-off' });
    }
  }

  /** Makes the source's history ours; a torn record of an older boot of the source goes first. */
  async #adopt(attachment: Attachment, position: SinkPosition): Promise<void> {
    const { sink } = this.#parts;
    this.#epoch = asEpoch(attachment.epoch);
    const { lineage } = attachment;
    if (lineage !== undefined && JSON.stringify(lineage) !== JSON.stringify(position.lineage)) {
      if (this.#end > sink.validatedEnd()) {
        await this.#cut(sink.validatedEnd(), 'half a record of an older boot of the source');
      }
      sink.adoptLineage(this.#epoch, lineage);
    }
    if (this.#end < attachment.startAt) this.#end = attachment.startAt;
  }

  async #cut(to: number, why: string): Promise<void> {
    const from = this.#parts.sink.validatedEnd();
    const file = await this.#parts.sink.exportAndTruncate(to);
    this.#end = to;
    log.warn('link.truncated', why, { to, from, exportedTo: file });
  }

  #refusal(attachment: Attachment, position: SinkPosition): DrError {
    const { verdict, reason, minOffset } = attachment;
    const { address, files } = this.#parts;
    if (verdict === 'loop') return new DrError('CONFIG', `${address}: ${reason}`);
    if (verdict === 'diverged') {
      return new DrError('VERIFY_FAILED', `${address}: ${reason}`, {
        hint: 'the copy must be made again, or the source repaired; nothing was changed',
      });
    }
    if (verdict !== 'gap') {
      return new DrError('REFUSED', `${address}: ${reason}`, { retry: 'back-off' });
    }
    const gap = { from: position.offset as number, to: minOffset };
    const file = files.writeGap({
      ...gap,
      source: address,
      epoch: position.epoch,
      detectedAtMs: Date.now(),
    });
    return new DrError('INCOMPLETE', `${reason}: bytes ${gap.from} to ${gap.to} are gone`, {
      context: { ...gap, file },
      hint: 'restore the missing part from a backup or make the copy again',
    });
  }

  async #copy(attachment: Attachment, signal: AbortSignal): Promise<DrError> {
    const { sink, config } = this.#parts;
    // Order: the first report is an acknowledgement, so everything we have must be on disk.
    await sink.flush();
    signal.throwIfAborted();
    const position = this.#end === 0 ? 1 : this.#end;
    const stream = new HaStream(
      {
        address: config.haAddress ?? attachment.haAddress,
        position,
        connectTimeoutMs: config.connectTimeoutMs,
        silenceMs: config.silenceMs,
        bucket: new TokenBucket(config.bandwidthBytesPerSec, performance.now()),
        pendingBytesMax: config.pendingBytesMax,
      },
      {
        onBytes: (offset, bytes) => this.#take(offset, bytes),
        onRead: () => this.#acks?.note(this.#end),
        pendingBytes: () => sink.pendingBytes(),
        drained: () => sink.drained(),
      },
    );
    this.#stream = stream;
    this.#acks = new AckReporter(position, config, {
      checkedEnd: () => sink.validatedEnd(),
      checkedMore: () => sink.checkedMore(),
      flush: () => sink.flush(),
      report: (offset) => stream.report(offset),
      onFailure: (reason) => stream.close(reason),
    });
    const stop = () => stream.close(new DrError('CANCELLED', 'the link was stopped'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      this.#parts.onAttached(attachment);
      const reason = await stream.ended;
      return DrError.is(reason, 'CORRUPT') ? await this.#heal(reason) : reason;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#acks.stop();
      this.#stream = undefined;
    }
  }

  #take(offset: number, bytes: Buffer): void {
    const { sink } = this.#parts;
    if (this.#end === 0 && offset === 1) {
      sink.append(0, BYTE_ZERO, this.#epoch);
      this.#end = 1;
    }
    sink.append(offset, bytes, this.#epoch);
    this.#end = offset + bytes.length;
    this.#copied += bytes.length;
    this.#parts.onCopied(bytes.length);
  }

  /** Bytes that did not pass the sink's check are dropped and fetched again, a few times. */
  async #heal(reason: DrError): Promise<DrError> {
    const at = this.#parts.sink.validatedEnd();
    const tries = this.#corrupt.at === at ? this.#corrupt.tries + 1 : 1;
    this.#corrupt = { at, tries };
    if (tries > CORRUPT_TRIES_MAX) return reason;
    await this.#cut(at, `bytes from the source are damaged: ${reason.message}`);
    return new DrError('PROTOCOL', `damaged bytes after ${at}: fetched again`, { cause: reason });
  }
}

/** Errors after which trying again would lose, mix or hide bytes. */
export const isFatal = (reason: DrError): boolean =>
  DrError.is(reason, 'FENCED', 'INCOMPLETE', 'CONFIG', 'VERIFY_FAILED', 'CORRUPT', 'USAGE') ||
  DrError.is(reason, 'UNEXPECTED');
