// Finds out which kind the source is, by asking: ours answers LINK_ATTACH, a stock broker answers code 3.
// Asked again at every attach, so a source that was replaced by the other kind is noticed.
import { remoteCode } from '../../core-broker/client/index.ts';
import { ResponseCode } from '../../core-broker/protocol/index.ts';
import type { SinkPosition } from '../ports.ts';
import type { Attachment, SourceSample, SourceSide } from './source-side.ts';

export class AnySource implements SourceSide {
  readonly #ours: SourceSide;
  readonly #stock: SourceSide;
  #kind: 'ours' | 'stock' | undefined;

  constructor(ours: SourceSide, stock: SourceSide) {
    this.#ours = ours;
    this.#stock = stock;
  }

  get kind(): 'ours' | 'stock' | undefined {
    return this.#kind;
  }

  async attach(position: SinkPosition): Promise<Attachment> {
    try {
      const attachment = await this.#ours.attach(position);
      this.#kind = 'ours';
      return attachment;
    } catch (reason) {
      if (remoteCode(reason) !== ResponseCode.REQUEST_CODE_NOT_SUPPORTED) throw reason;
      this.#kind = 'stock';
      return this.#stock.attach(position);
    }
  }

  async sample(position: number, queuesSince: number): Promise<SourceSample> {
    if (this.#kind === 'stock') return this.#stock.sample(position, queuesSince);
    try {
      return await this.#ours.sample(position, queuesSince);
    } catch (reason) {
      if (remoteCode(reason) !== ResponseCode.REQUEST_CODE_NOT_SUPPORTED) throw reason;
      return this.#stock.sample(position, queuesSince);
    }
  }
}
