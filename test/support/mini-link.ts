// The smallest link that follows every rule: signed attach, classic HA stream, exact append, metadata by
// codes 21, 201, 43, 45, 60 and 402. Step by step under a test's control, with a place to tamper with bytes.
import { DrError, type Epoch } from '../../core-broker/base/index.ts';
import type { Broker, LinkControl } from '../../core-broker/broker/index.ts';
import type { DrClient, PeerClient } from '../../core-broker/client/index.ts';
import {
  type AttachRequest,
  type AttachResult,
  DR_CODE,
  type FinalSyncResult,
  type LinkReport,
  type LinkStatusResult,
  type OpRequest,
  type ReverseRequest,
  type TailReport,
} from '../../core-broker/protocol/index.ts';
import { RawHaPeer } from './raw-ha-peer.ts';

export class MiniLink implements LinkControl {
  readonly linkId = `link-${Math.random()}`;
  readonly reversals: ReverseRequest[] = [];
  readonly noted: ReverseRequest[] = [];
  exports: string[] = [];
  stops = 0;
  /** Changes bytes on their way, e.g. one that no record CRC covers. */
  tamper: ((offset: number, bytes: Buffer) => void) | undefined;
  source: string;
  haltedBy: string | undefined;
  readonly #broker: Broker;
  readonly #dr: DrClient;
  readonly #peer: PeerClient;

  constructor(broker: Broker, source: string, clients: { dr: DrClient; peer: PeerClient }) {
    this.#broker = broker;
    this.source = source;
    this.#dr = clients.dr;
    this.#peer = clients.peer;
  }

  ask(more: Partial<AttachRequest> = {}): Promise<AttachResult> {
    const sink = this.#sink();
    const { offset, epoch, lastRecordCrc, lineage } = sink.position();
    const body = { linkId: this.linkId, epoch, position: offset, lastRecordCrc, lineage, ...more };
    return this.#dr.control<AttachResult>(this.source, { code: DR_CODE.LINK_ATTACH, body });
  }

  /** Attach with truncation when told so; adopts the source's history. */
  async attach(): Promise<AttachResult> {
    for (;;) {
      const result = await this.ask();
      if (result.verdict === 'refused') throw new Error(`attach refused: ${result.reason}`);
      if (result.verdict === 'resume') {
        this.#sink().adoptLineage(result.epoch as Epoch, result.lineage);
        return result;
      }
      this.exports.push(await this.#sink().exportAndTruncate(result.truncateTo));
    }
  }

  /** Attaches and copies until the copy ends at `end`. */
  async copyTo(end: number): Promise<void> {
    const { haAddress, epoch } = await this.attach();
    const from = this.#sink().position().offset as number;
    if (from >= end) return;
    const peer = await RawHaPeer.connect(Number(haAddress.split(':').at(-1)));
    // A log that begins at 0 is read from byte 1; byte 0 is the high byte of a length and always 0.
    const wanted = from === 0 ? end - 1 : end - from;
    peer.report(from === 0 ? 1 : from);
    await peer.until((it) => it.bodyBytes >= wanted || it.isClosed);
    peer.close();
    const body = from === 0 ? Buffer.concat([Buffer.alloc(1), peer.body]) : peer.body;
    const bytes = Buffer.from(body.subarray(0, end - from));
    this.tamper?.(from, bytes);
    this.#sink().append(from, bytes, epoch as Epoch);
    await this.#sink().flush();
  }

  status(position: number, queuesSince = 0): Promise<LinkStatusResult> {
    const body = { linkId: this.linkId, position, queuesSince };
    return this.#dr.control<LinkStatusResult>(this.source, { code: DR_CODE.LINK_STATUS, body });
  }

  async finalSync(): Promise<FinalSyncResult> {
    const read = async (code: number): Promise<unknown> => {
      const response = await this.#peer.call(this.source, { code }, 3_000);
      return JSON.parse(response.body?.toString('utf8') ?? '{}');
    };
    const timers = await this.#peer.call(this.source, { code: 60 }, 3_000);
    const counts = this.#broker.metadataSink?.apply({
      topics: await read(21),
      groups: await read(201),
      consumerOffsets: await read(43),
      delayOffsets: await read(45),
      requestModes: await read(402),
      timerCheckpoint: timers.body?.toString('base64'),
    });
    if (counts === undefined) throw new Error('no metadata sink');
    return { ...counts, offsetDigest: '' };
  }

  report(): LinkReport {
    return {
      state: this.haltedBy === undefined ? 'following' : 'halted',
      source: this.source,
      lagMessages: 0,
      lagBytes: 0,
      lagMs: 0,
      sampledAtMs: 0,
      haltedBy: this.haltedBy,
      lastError: undefined,
    };
  }

  tailReport(): TailReport {
    const validatedEnd = this.#sink().validatedEnd();
    return { validatedEnd, sampledAtMs: 0, sourceEpoch: 0, sourceEnd: 0, queues: [] };
  }

  /** Copies only when told, halted or not. */
  async halt({ opId }: OpRequest): Promise<void> {
    if (this.haltedBy !== undefined && this.haltedBy !== opId) {
      throw new DrError('REFUSED', `halted by ${this.haltedBy}`);
    }
    this.haltedBy = opId;
  }

  async resume(): Promise<void> {
    this.haltedBy = undefined;
  }

  async ready(): Promise<void> {
    // Remembers nothing.
  }

  noteSource(request: ReverseRequest): void {
    this.noted.push(request);
  }

  async reverse(request: ReverseRequest): Promise<void> {
    this.reversals.push(request);
    this.source = request.source;
  }

  async stop(): Promise<void> {
    this.stops++;
  }

  #sink() {
    if (this.#broker.sink === undefined) throw new Error('no sink');
    return this.#broker.sink;
  }
}
