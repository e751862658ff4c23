// A planned switch between the two brokers of a RegionPair, request by request, as a controller sends
// them: for tests that look at single steps, or do something in between.
import {
  DR_CODE,
  type DrStatus,
  type PromoteResult,
  type SealedTailToken,
} from '../../../core-broker/protocol/index.ts';
import type { RegionName, RegionPair } from '../region-pair.ts';

export interface SwitchPlan {
  from: RegionName;
  to: RegionName;
  opId: string;
  /** Epoch after the switch. */
  epoch: number;
}

export const FORTH: SwitchPlan = { from: 'east', to: 'west', opId: 'op-1', epoch: 2 };
export const BACK: SwitchPlan = { from: 'west', to: 'east', opId: 'op-2', epoch: 3 };

export class SwitchByHand {
  readonly #pair: RegionPair;
  readonly #plan: SwitchPlan;

  constructor(pair: RegionPair, plan: SwitchPlan = FORTH) {
    this.#pair = pair;
    this.#plan = plan;
  }

  /** Fence, seal, drain, halt, final sync: everything before the point of no return. */
  async prepare(): Promise<SealedTailToken> {
    const { from, to, opId } = this.#plan;
    await this.#pair.ask(from, DR_CODE.FENCE, { opId, deadlineMs: 60_000 });
    const token = await this.#pair.ask<SealedTailToken>(from, DR_CODE.SEAL, { opId });
    await this.#pair[to].link?.copyTo(token.logEnd);
    await this.#pair.ask(to, DR_CODE.LINK_HALT, { opId });
    await this.#pair.ask(to, DR_CODE.FINAL_SYNC, { opId });
    return token;
  }

  /** @param token null forces the promotion, as a failover does */
  promote(token: SealedTailToken | null): Promise<PromoteResult> {
    const { to, opId, epoch } = this.#plan;
    const body = { opId, fromEpoch: epoch - 1, token, forced: token === null };
    return this.#pair.ask<PromoteResult>(to, DR_CODE.PROMOTE, body);
  }

  relay(): Promise<DrStatus> {
    const { from, to, opId, epoch } = this.#plan;
    const target = this.#pair[to].address;
    return this.#pair.ask(from, DR_CODE.RELAY_START, { opId, target, region: to, epoch });
  }

  reverse(): Promise<DrStatus> {
    const { from, to, opId, epoch } = this.#plan;
    const source = this.#pair[to].address;
    return this.#pair.ask(from, DR_CODE.REVERSE, { opId, source, sourceRegion: to, epoch });
  }
}
