// Halting the link and giving a halt up: the two requests that decide whether a promotion may happen.
//   LINK_HALT(op)   -> PROMOTE(op) is possible       LINK_RESUME(op) -> never again
// Invariant: of one operation either PROMOTE or LINK_RESUME succeeds, in whatever order the network
// brings them and with restarts in between. That rests on durable facts only: drEpoch (promoted), drLink
// (halted), drRetired (given up). Source: protocol/dr-control.ts, switchover "Abort".
import { DrError } from '../../../base/index.ts';
import type { OpRequest } from '../../../protocol/index.ts';
import type { EpochGuard } from '../../../store/index.ts';
import type { LinkControl } from '../../door.ts';
import type { RetiredOps } from './retired-ops.ts';

export interface LinkDeskParts {
  guard: EpochGuard;
  retired: RetiredOps;
  /** @throws DrError REFUSED without a link */
  link(): LinkControl;
}

export class LinkDesk {
  readonly #with: LinkDeskParts;

  constructor(parts: LinkDeskParts) {
    this.#with = parts;
  }

  /** Durable on return. @throws DrError REFUSED (given up, halted by another operation, no link) */
  async halt({ opId }: OpRequest): Promise<void> {
    this.#with.retired.refuse(opId);
    await this.#with.link().halt({ opId });
  }

  /** Gives `opId` up for good; the link runs again when it was what halted it. */
  async resume({ opId }: OpRequest): Promise<void> {
    const { guard, retired } = this.#with;
    // Why: after a failed write of drEpoch the disk may say "promoted" while memory says "standby".
    guard.confirm();
    await this.#with.link().ready();
    if (guard.state.role === 'active') {
      const why = `this side was promoted and is ${guard.writeState} at epoch ${guard.state.epoch}`;
      throw new DrError('REFUSED', `${opId} cannot be given up: ${why}`);
    }
    const haltedBy = this.#with.link().report()?.haltedBy;
    if (haltedBy !== undefined && haltedBy !== opId) throw haltedByOther(haltedBy);
    // Order: given up on disk before the link runs; a kill in between leaves it halted and harmless.
    retired.retire(opId);
    await this.#with.link().resume({ opId });
  }

  /** @throws DrError REFUSED unless the link stands still by order of this very operation */
  async requireHalt(opId: string): Promise<void> {
    this.#with.retired.refuse(opId);
    // Why: right after a restart the halt is on disk but the link has not read it yet.
    await this.#with.link().ready();
    const report = this.#with.link().report();
    if (report?.state === 'halted' && report.haltedBy === opId) return;
    if (report?.haltedBy !== undefined && report.haltedBy !== opId) {
      throw haltedByOther(report.haltedBy);
    }
    throw new DrError('REFUSED', `the link is ${report?.state ?? 'absent'}, not halted by ${opId}`);
  }
}

const haltedByOther = (opId: string): DrError =>
  new DrError('REFUSED', `the link is halted by operation ${opId}`);
