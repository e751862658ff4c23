// What clients meet while the region is fenced, sealed, closed, deposed or a standby.
// Comfort, not safety: the guard inside the store refuses whatever this lets through.
// Order while parked frames are released: new frames go on being parked until the last old one was
// injected, so that nobody overtakes. Source: switchover "What clients see", "Consumers at the standby".
import { ResponseCode } from '../../../protocol/index.ts';
import type { ServerConnection } from '../../../remoting/index.ts';
import type { EpochGuard } from '../../../store/index.ts';
import type { Admission, AdmissionState, Refusal } from '../../admission.ts';
import type { Parking } from '../parking.ts';
import type { Knowledge } from './knowledge.ts';

/** While a switch is under way a pull waits no longer than this. */
const SWITCHING_HOLD_MS = 1000;

export interface AdmissionSources {
  guard: EpochGuard;
  parking: Parking;
  known: Knowledge;
  standbyGroups: ReadonlySet<string>;
  /** True for a fence that refuses instead of parking: nobody will lift it in time. */
  isRefusingFence(): boolean;
  /** True for a sealed side whose successor is known and whose relay is about to start. */
  awaitsRelay(): boolean;
  /** False when a configured lease has run out; asked for every write frame. */
  leaseHolds: (() => boolean) | undefined;
  nowMs(): number;
}

export class DrAdmission implements Admission {
  readonly #from: AdmissionSources;
  readonly #leaseHolds: (() => boolean) | undefined;
  #state: AdmissionState = 'refused';
  /** 'waiting': old frames are left, new ones park · 'passing': one old frame is being injected. */
  #release: 'none' | 'waiting' | 'passing' = 'none';
  intercept: Admission['intercept'];

  constructor(from: AdmissionSources) {
    this.#from = from;
    this.#leaseHolds = from.leaseHolds;
    this.refresh();
  }

  get state(): AdmissionState {
    if (this.#leaseHolds !== undefined && this.#state === 'open' && !this.#leaseHolds()) {
      return 'refused';
    }
    return this.#state;
  }

  /** Takes the present write state over; call after every change of the guard. */
  refresh(): void {
    const { guard, isRefusingFence, awaitsRelay } = this.#from;
    const state = guard.writeState;
    if (state === 'open') this.#state = this.#release === 'waiting' ? 'parked' : 'open';
    else if (state === 'fenced') this.#state = isRefusingFence() ? 'refused' : 'parked';
    else this.#state = state === 'sealed' || awaitsRelay() ? 'parked' : 'refused';
  }

  releasing(phase: 'none' | 'waiting' | 'passing'): void {
    this.#release = phase;
    this.refresh();
  }

  park(connection: ServerConnection, frame: Buffer): boolean {
    return this.#from.parking.park(connection, frame, this.#from.nowMs());
  }

  refusal(): Refusal {
    const { guard, known } = this.#from;
    if (guard.writeState === 'closed') {
      return {
        code: ResponseCode.SERVICE_NOT_AVAILABLE,
        remark: `closed at epoch ${guard.state.epoch} until a peer has answered`,
      };
    }
    const active = known.active;
    const epoch = Math.max(active?.epoch ?? 0, guard.state.epoch);
    const region = active?.region || 'unknown';
    return {
      code: ResponseCode.NO_PERMISSION,
      remark: `fenced at epoch ${epoch}, active region ${region}`,
    };
  }

  commitRefusal(group: string): Refusal | undefined {
    const { guard, standbyGroups } = this.#from;
    const state = guard.writeState;
    if (state === 'open') return undefined;
    if (state === 'standby' && standbyGroups.has(group)) return undefined;
    return this.#frozen();
  }

  sendBackRefusal(): Refusal | undefined {
    return this.#from.guard.writeState === 'open' ? undefined : this.#frozen();
  }

  get holdMsMax(): number {
    const state = this.#from.guard.writeState;
    const isBrief = state === 'fenced' || state === 'sealed' || state === 'deposed';
    return isBrief ? SWITCHING_HOLD_MS : Number.POSITIVE_INFINITY;
  }

  get mayCreate(): boolean {
    return this.#from.guard.writeState === 'open';
  }

  /** Always a code clients retry elsewhere, never 14: an offset commit must not look like an outage. */
  #frozen(): Refusal {
    const refusal = this.refusal();
    return { code: ResponseCode.NO_PERMISSION, remark: refusal.remark };
  }
}
