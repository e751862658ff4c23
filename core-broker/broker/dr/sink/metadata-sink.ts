// Topics, groups, offsets and delay offsets of the active side, as the link brings them.
// Structurally the port MetadataSink of the replicator. Clamping to the copied data and the standby's own
// groups are the tables' business; here is the rule who may apply at all.
// Invariant: only a standby takes metadata; after a promotion a late sync changes nothing.
// Source: switchover "Link" and "Consumers at the standby".
import { DrError } from '../../../base/index.ts';
import type { EpochGuard } from '../../../store/index.ts';
import type { StandbyMetadataSink } from '../../door.ts';
import type { AppliedCounts, MetadataContent, MetadataTables } from '../../metadata/index.ts';

export class TableSink implements StandbyMetadataSink {
  readonly #tables: MetadataTables;
  readonly #guard: EpochGuard;
  readonly #onApplied: () => void;
  #closedBy: string | undefined;

  constructor(tables: MetadataTables, guard: EpochGuard, onApplied: () => void) {
    this.#tables = tables;
    this.#guard = guard;
    this.#onApplied = onApplied;
  }

  closeGate(why: string): void {
    this.#closedBy = why;
  }

  reopenGate(): void {
    this.#closedBy = undefined;
  }

  /** Durable on return. @throws DrError FENCED when this side is no standby, PROTOCOL */
  apply(snapshot: MetadataContent): AppliedCounts {
    if (this.#closedBy !== undefined || this.#guard.writeState !== 'standby') {
      const why = this.#closedBy ?? `this side is ${this.#guard.writeState}`;
      throw new DrError('FENCED', `metadata refused: ${why}`);
    }
    const counts = this.#tables.apply(snapshot);
    this.#onApplied();
    return counts;
  }
}
