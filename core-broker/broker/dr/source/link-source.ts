// The source's side of a link: LINK_ATTACH before each HA connection and LINK_STATUS while it runs.
// The HA protocol carries no epoch and no checksum, so everything that makes a copy trustworthy is
// decided here: same history, same last record, still kept by retention, not ourselves.
// One link at a time: a newer linkId replaces the older, whose streams are cut and whose later calls are
// refused. Source: switchover "Link".
import { createLog, DrError } from '../../../base/index.ts';
import {
  type AttachRequest,
  type AttachResult,
  BLANK_MAGIC,
  type LinkStatusRequest,
  type LinkStatusResult,
  RECORD_MAGIC_V1,
  RECORD_MAGIC_V2,
  RecordOffset,
  readInt64,
  SysFlag,
} from '../../../protocol/index.ts';
import type { MessageStore } from '../../../store/index.ts';
import type { HaServer } from '../../ha/index.ts';
import { lastRecordBefore, readExactly } from './last-record.ts';
import { compareHistories } from './lineage.ts';
import { MessageCount } from './message-count.ts';

const log = createLog('dr');
/** Replaced links that are remembered, so that one which comes back late is refused. */
const REPLACED_LINKS_MAX = 256;

export interface LinkSourceOptions {
  store: MessageStore;
  ha: HaServer;
  fileSize: number;
  haAddress(): string;
  nowMs(): number;
}

export class LinkSource {
  readonly #options: LinkSourceOptions;
  readonly #count: MessageCount;
  #link: { id: string; remoteAddress: string } | undefined;
  readonly #replaced = new Set<string>();

  constructor(options: LinkSourceOptions) {
    this.#options = options;
    this.#count = new MessageCount(options.store);
  }

  /** Compares histories; only a link that may copy becomes the current one. */
  async attach(request: AttachRequest, remoteAddress: string): Promise<AttachResult> {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) return this.#result({ verdict: 'refused', reason: refusal });
    const { guard } = this.#options.store;
    const bounds = this.#options.store.storeBounds();
    const verdict = compareHistories(request, {
      epoch: guard.state.epoch,
      lineage: guard.state.lineage,
      minOffset: bounds.minOffset,
      maxOffset: bounds.writtenOffset,
    });
    if (verdict.verdict !== 'resume') return this.#result(verdict);
    const mismatch = await this.#recordMismatch(request);
    if (mismatch !== undefined) return this.#result({ verdict: 'refused', reason: mismatch });
    this.#adopt(request.linkId, remoteAddress);
    return this.#result(verdict);
  }

  /** Bounds and lag. @throws DrError REFUSED for a link that is not the attached one */
  async status(request: LinkStatusRequest): Promise<LinkStatusResult> {
    if (this.#replaced.has(request.linkId)) {
      throw new DrError('REFUSED', `link ${request.linkId} was replaced by a newer one`);
    }
    const { store } = this.#options;
    const maxOffset = store.storeBounds().maxOffset;
    await store.dispatched();
    const nowMs = this.#options.nowMs();
    this.#count.sample(maxOffset, nowMs);
    return {
      epoch: store.guard.state.epoch,
      minOffset: store.storeBounds().minOffset,
      maxOffset,
      lagMessages: this.#count.from(request.position),
      oldestUnsharedMs: await this.#oldestUnsharedMs(request.position, maxOffset),
      nowMs,
      queueMaxima: request.queuesSince < 0 ? {} : this.#count.changedSince(request.queuesSince),
    };
  }

  #refusal(request: AttachRequest): string | undefined {
    const { guard } = this.#options.store;
    const state = guard.writeState;
    if (state !== 'open' && state !== 'fenced' && state !== 'sealed') {
      return `this store feeds nobody: it is ${state} at epoch ${guard.state.epoch}`;
    }
    if (request.storeId !== undefined && request.storeId === guard.state.storeId) {
      return 'source and standby are one store under two names';
    }
    return this.#replaced.has(request.linkId)
      ? `link ${request.linkId} was replaced by a newer one`
      : undefined;
  }

  /** Equal lineages still allow different bytes (a damaged disk): the last record decides. */
  async #recordMismatch(request: AttachRequest): Promise<string | undefined> {
    const { store, fileSize } = this.#options;
    if (request.position <= store.storeBounds().minOffset) return undefined;
    const record = await lastRecordBefore(store, fileSize, request.position);
    if (record === undefined) return `no record ends at byte ${request.position} here`;
    if (record.crc === request.lastRecordCrc) return undefined;
    return `the last record before byte ${request.position} differs (at ${record.offset})`;
  }

  #adopt(linkId: string, remoteAddress: string): void {
    const old = this.#link;
    this.#link = { id: linkId, remoteAddress };
    if (old === undefined || old.id === linkId) return;
    log.warn('link.replaced', 'a newer link took over', { linkId, replaced: old.id });
    this.#replaced.add(old.id);
    if (this.#replaced.size > REPLACED_LINKS_MAX) {
      const [oldest] = this.#replaced;
      if (oldest !== undefined) this.#replaced.delete(oldest);
    }
    this.#options.ha.dropFrom(old.remoteAddress, 'link replaced');
  }

  #result(verdict: { verdict: AttachResult['verdict']; truncateTo?: number; reason?: string }) {
    const { store, fileSize } = this.#options;
    const { state } = store.guard;
    const bounds = store.storeBounds();
    const result: AttachResult = {
      verdict: verdict.verdict,
      truncateTo: verdict.truncateTo ?? 0,
      reason: verdict.reason,
      epoch: state.epoch,
      lineage: [...state.lineage],
      minOffset: bounds.minOffset,
      maxOffset: bounds.writtenOffset,
      mappedFileSizeCommitLog: fileSize,
      haAddress: this.#options.haAddress(),
      storeId: state.storeId,
      region: state.region,
    };
    return result;
  }

  async #oldestUnsharedMs(position: number, end: number): Promise<number> {
    if (position >= end) return 0;
    // Retention overtook the link: its record is gone, but the lag must still be answered.
    const isGone = position < this.#options.store.storeBounds().minOffset;
    const storedMs = isGone ? undefined : await storeTimeAt(this.#options, position);
    return storedMs ?? this.#count.seenMs(position);
  }
}

/** Bytes of a record up to and with its store timestamp, with the larger host form. */
const RECORD_HEAD_BYTES = 76;

/**
 * Store timestamp of the record at `position`, or of the next file's first behind a blank; undefined
 * when no record begins there.
 */
async function storeTimeAt(
  options: LinkSourceOptions,
  position: number,
): Promise<number | undefined> {
  const { store, fileSize } = options;
  const inFile = Math.min(RECORD_HEAD_BYTES, fileSize - (position % fileSize));
  const head = await readExactly(store, position, inFile);
  if (head === undefined || head.length < 8) return undefined;
  const magic = head.readInt32BE(RecordOffset.MAGIC);
  if (magic === BLANK_MAGIC) {
    const nextFile = position - (position % fileSize) + fileSize;
    const isThere = nextFile < store.storeBounds().writtenOffset;
    return isThere ? storeTimeAt(options, nextFile) : undefined;
  }
  const isRecord = magic === RECORD_MAGIC_V1 || magic === RECORD_MAGIC_V2;
  if (!isRecord || head.length < RECORD_HEAD_BYTES) return undefined;
  const at = (head.readInt32BE(RecordOffset.SYS_FLAG) & SysFlag.BORN_HOST_V6) === 0 ? 56 : 68;
  return readInt64(head, at);
}
