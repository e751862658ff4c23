// How a global name server and a gateway answer FLIP and FLIP_STATUS. One rule set for both, so that
// they can never disagree about which flip counts: higher epoch taken, same epoch and region repeated,
// anything else refused with the state in force as the body.
// Order: signature -> request sound -> durable (inside the register) -> `apply` -> answer. Source: ours.
import { type ActiveRegionRegister, DrError } from '../base/index.ts';
import type { RemotingCommand, ResponseInit } from './command.ts';
import type { DrRequestVerifier } from './dr-auth.ts';
import { DR_CODE, DR_FENCED, DR_WRONG_STATE, type FlipResult } from './dr-control.ts';
import { parseJsonObject } from './wire/index.ts';

export interface FlipReceiverOptions {
  register: ActiveRegionRegister;
  verifier: DrRequestVerifier;
  /** Regions this part knows addresses of. */
  regions: ReadonlySet<string>;
  nowMs: () => number;
  /**
   * Makes a new region effective; called after it is durable, in the same tick.
   * @param isHandOver  FlipRequest.handOver
   * @returns how many connections were moved
   */
  apply: (region: string, isHandOver: boolean) => number;
}

/** Answers the two flip codes; use `codes` to wire it into a dispatcher. */
export class FlipReceiver {
  static readonly codes: readonly number[] = [DR_CODE.FLIP, DR_CODE.FLIP_STATUS];
  readonly #options: FlipReceiverOptions;
  #moved = 0;

  constructor(options: FlipReceiverOptions) {
    this.#options = options;
  }

  /**
   * @throws DrError AUTH, BUSY (signature), PROTOCOL (body), and system errors of the durable write:
   * the old region is then still in force
   */
  answer(request: RemotingCommand): ResponseInit {
    const { verifier, nowMs } = this.#options;
    const opId = verifier.verify(request, nowMs());
    return request.code === DR_CODE.FLIP ? this.#flip(request, opId) : this.#state(0);
  }

  #flip(request: RemotingCommand, opId: string): ResponseInit {
    const { region, epoch, handOver } = parseJsonObject(request.body);
    if (typeof region !== 'string' || !Number.isSafeInteger(epoch) || Number(epoch) < 1) {
      throw new DrError('PROTOCOL', 'a flip names a region and an epoch from 1 on');
    }
    const { register, regions, apply } = this.#options;
    if (!regions.has(region)) {
      const known = [...regions].join(', ');
      return this.#state(DR_WRONG_STATE, `region '${region}' is unknown here (known: ${known})`);
    }
    const verdict = register.propose({ region, epoch: Number(epoch), opId });
    const now = `region ${register.current.region} at epoch ${register.current.epoch} is in force`;
    if (verdict === 'stale') return this.#state(DR_FENCED, `epoch ${epoch} is old: ${now}`);
    if (verdict === 'conflict') {
      return this.#state(DR_WRONG_STATE, `epoch ${epoch} belongs to another region: ${now}`);
    }
    if (verdict === 'flipped') this.#moved = apply(region, handOver === true);
    return this.#state(0);
  }

  #state(code: number, remark?: string): ResponseInit {
    const { region, epoch } = this.#options.register.current;
    const result: FlipResult = { region, epoch, moved: this.#moved };
    return { code, body: JSON.stringify(result), ...(remark === undefined ? {} : { remark }) };
  }
}
