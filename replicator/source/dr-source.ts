// A source of our own kind: signed LINK_ATTACH and LINK_STATUS. It compares histories and the last
// record; here its verdict is turned into what the link does, and the two things only we can know are
// checked: that it is not ourselves, and that its epoch is not behind ours.
import type { DrClient } from '../../core-broker/client/index.ts';
import {
  type AttachRequest,
  type AttachResult,
  DR_CODE,
  type LinkStatusRequest,
  type LinkStatusResult,
} from '../../core-broker/protocol/index.ts';
import type { SinkPosition } from '../ports.ts';
import {
  type Attachment,
  refusedAttachment,
  type SourceSample,
  type SourceSide,
} from './source-side.ts';

export interface DrSourceOptions {
  address: string;
  linkId: string;
  ownStoreId: string;
  ownRegion: string;
  timeoutMs: number;
  sampleTimeoutMs: number;
}

export class DrSource implements SourceSide {
  readonly #control: DrClient;
  readonly #sampler: DrClient;
  readonly #options: DrSourceOptions;

  /** @param sampler own connection, so that a slow answer elsewhere does not age the samples */
  constructor(control: DrClient, sampler: DrClient, options: DrSourceOptions) {
    this.#control = control;
    this.#sampler = sampler;
    this.#options = options;
  }

  async attach(position: SinkPosition): Promise<Attachment> {
    const first = await this.#ask(position, position.offset);
    const isEmpty = position.offset === 0;
    // An empty copy begins where the source's log begins; nothing of ours can be missing before it.
    if (isEmpty && first.verdict === 'refused' && first.minOffset > 0) {
      return this.#judge(await this.#ask(position, first.minOffset), first.minOffset, position);
    }
    return this.#judge(first, position.offset, position);
  }

  async sample(position: number, queuesSince: number): Promise<SourceSample> {
    const { address, linkId, sampleTimeoutMs } = this.#options;
    const body: LinkStatusRequest = { linkId, position, queuesSince };
    const request = { code: DR_CODE.LINK_STATUS, body };
    const sampledAtMs = Date.now();
    const answer = await this.#sampler.control<LinkStatusResult>(address, request, sampleTimeoutMs);
    const { nowMs: sourceNowMs, ...numbers } = answer;
    return { ...numbers, sourceNowMs, sampledAtMs };
  }

  #ask(position: SinkPosition, from: number): Promise<AttachResult> {
    const { address, linkId, ownStoreId, timeoutMs } = this.#options;
    const body: AttachRequest = {
      linkId,
      epoch: position.epoch,
      position: from,
      lastRecordCrc: position.lastRecordCrc,
      lineage: position.lineage,
      storeId: ownStoreId,
    };
    const request = { code: DR_CODE.LINK_ATTACH, body };
    return this.#control.control<AttachResult>(address, request, timeoutMs);
  }

  #judge(result: AttachResult, from: number, position: SinkPosition): Attachment {
    const facts = {
      truncateTo: result.truncateTo,
      startAt: from,
      minOffset: result.minOffset,
      epoch: result.epoch,
      lineage: result.lineage,
      haAddress: result.haAddress,
    };
    const { ownStoreId, ownRegion } = this.#options;
    if (result.storeId === ownStoreId) {
      return refusedAttachment('loop', 'the source is this very store under another name', facts);
    }
    if (result.region === ownRegion) {
      return refusedAttachment('loop', `the source belongs to our own region ${ownRegion}`, facts);
    }
    if (result.epoch < position.epoch) {
      const reason = `the source is at epoch ${result.epoch}, this copy at ${position.epoch}`;
      return refusedAttachment('refused', reason, facts);
    }
    if (result.verdict === 'truncate')
      return { verdict: 'truncate', reason: 'histories part', ...facts };
    if (from < result.minOffset) {
      return refusedAttachment('gap', 'retention at the source overtook the link', facts);
    }
    const reason = result.reason ?? '';
    return { verdict: result.verdict, reason, ...facts };
  }
}
