// A stock Apache master (4.9, 5.x, classic HA): no epochs, no attach. What can be checked is checked:
//   bounds from code 28, HA port from code 26, the last record at our end through code 33.
// Nothing on that side validates a position, so everything that looks wrong stops the link here.
// Lag in messages is bytes divided by the broker's mean message size: an estimate, and per-queue maxima
// are not sampled: a loss statement for a stock source counts bytes. A 4.9.7 broker answers 28 with an
// exception during its first second: like any error of a call it is tried again. Source: RocketMQ's classic HA.
import { DrError } from '../../core-broker/base/index.ts';
import type { BrokerAdmin } from '../../core-broker/client/index.ts';
import { decodeRecord } from '../../core-broker/protocol/index.ts';
import type { SinkPosition } from '../ports.ts';
import {
  type Attachment,
  refusedAttachment,
  type SourceSample,
  type SourceSide,
} from './source-side.ts';

export interface StockSourceOptions {
  address: string;
  /** Raw bytes of one record of our copy. */
  readRecord(offset: number): Buffer;
}

const DEFAULT_FILE_BYTES = 1024 * 1024 * 1024;

export class StockSource implements SourceSide {
  readonly #control: BrokerAdmin;
  readonly #sampler: BrokerAdmin;
  readonly #options: StockSourceOptions;
  #fileBytes = DEFAULT_FILE_BYTES;
  /** The oldest record missing here, by its offset, so that it is read once. */
  #oldest = { offset: -1, storeTimestampMs: 0 };

  constructor(control: BrokerAdmin, sampler: BrokerAdmin, options: StockSourceOptions) {
    this.#control = control;
    this.#sampler = sampler;
    this.#options = options;
  }

  async attach(position: SinkPosition): Promise<Attachment> {
    const { address } = this.#options;
    const config = await this.#control.brokerConfig(address);
    const { minOffset, maxOffset } = await this.#bounds(this.#control);
    this.#fileBytes = Number(config['mappedFileSizeCommitLog'] ?? DEFAULT_FILE_BYTES);
    const startAt = position.offset === 0 ? minOffset : position.offset;
    const facts = {
      startAt,
      minOffset,
      epoch: position.epoch,
      haAddress: haAddressOf(address, config),
    };
    if (config['brokerRole'] === 'SLAVE') {
      return refusedAttachment('refused', `${address} is a slave now`, facts);
    }
    if (startAt < minOffset) {
      return refusedAttachment('gap', 'retention at the source overtook the link', facts);
    }
    if (startAt > maxOffset) {
      const reason = `the copy ends at ${startAt}, the source at ${maxOffset}`;
      return refusedAttachment('diverged', reason, facts);
    }
    const difference = await this.#difference(position);
    if (difference !== undefined) return refusedAttachment('diverged', difference, facts);
    return refusedAttachment('resume', '', facts);
  }

  async sample(position: number): Promise<SourceSample> {
    const sampledAtMs = Date.now();
    const { minOffset, maxOffset, meanBytes } = await this.#bounds(this.#sampler);
    const lagBytes = Math.max(0, maxOffset - position);
    const oldestUnsharedMs = lagBytes === 0 ? 0 : await this.#storeTimeAt(position);
    return {
      sampledAtMs,
      epoch: 0,
      minOffset,
      maxOffset,
      lagMessages: Math.ceil(lagBytes / meanBytes),
      oldestUnsharedMs,
      sourceNowMs: Date.now(),
      queueMaxima: {},
    };
  }

  async #bounds(admin: BrokerAdmin) {
    const table = await admin.runtimeInfo(this.#options.address);
    const minOffset = Number(table['commitLogMinOffset']);
    const maxOffset = Number(table['commitLogMaxOffset']);
    if (!Number.isSafeInteger(minOffset) || !Number.isSafeInteger(maxOffset)) {
      throw new DrError('PROTOCOL', `${this.#options.address} does not tell its log bounds`);
    }
    const mean = Number(table['putMessageAverageSize']);
    return { minOffset: Math.max(0, minOffset), maxOffset, meanBytes: mean >= 1 ? mean : 1024 };
  }

  /** What differs between the last record here and the one the source has there. */
  async #difference(position: SinkPosition): Promise<string | undefined> {
    const offset = position.lastRecordOffset;
    if (offset < 0) return undefined;
    const ours = this.#options.readRecord(offset);
    try {
      const theirs = await this.#control.viewRecord(this.#options.address, offset);
      return theirs.equals(ours) ? undefined : `the record at byte ${offset} differs`;
    } catch (reason) {
      if (!DrError.is(reason, 'NOT_FOUND')) throw reason;
      return `the source has no record at byte ${offset}`;
    }
  }

  async #storeTimeAt(position: number): Promise<number> {
    if (this.#oldest.offset === position) return this.#oldest.storeTimestampMs;
    const nextFile = position - (position % this.#fileBytes) + this.#fileBytes;
    const storeTimestampMs =
      (await this.#readTime(position)) ?? (await this.#readTime(nextFile)) ?? Date.now();
    this.#oldest = { offset: position, storeTimestampMs };
    return storeTimestampMs;
  }

  /** Undefined at the blank that ends a file, or when the record was not whole yet. */
  async #readTime(offset: number): Promise<number | undefined> {
    try {
      const bytes = await this.#sampler.viewRecord(this.#options.address, offset);
      return decodeRecord(bytes).storeTimestampMs;
    } catch (reason) {
      if (DrError.is(reason, 'NOT_FOUND', 'CORRUPT')) return undefined;
      throw reason;
    }
  }
}

/** The HA port is not in the route: the broker's own configuration names it. */
function haAddressOf(address: string, config: Record<string, string>): string {
  const at = address.lastIndexOf(':');
  const port = Number(config['haListenPort'] ?? 0) || Number(address.slice(at + 1)) + 1;
  return `${address.slice(0, at)}:${port}`;
}
