// Topics, groups, offsets, delay offsets and timer times of the active side, as the link brings them.
// Structurally the port MetadataSink of the replicator. Clamping to the copied data and the standby's own
// groups are the tables' business; here is the rule who may apply at all.
// Invariant: only a standby takes metadata; after a promotion a late sync changes nothing.
// Source: switchover "Link" and "Consumers at the standby".
import { createLog, DrError } from '../../../base/index.ts';
import type { EpochGuard } from '../../../store/index.ts';
import type { StandbyMetadataSink } from '../../door.ts';
import type { AppliedCounts, MetadataContent, MetadataTables } from '../../metadata/index.ts';
import type { MirroredTimers } from '../../parts.ts';

const log = createLog('dr');

export class TableSink implements StandbyMetadataSink {
  readonly #tables: MetadataTables;
  readonly #guard: EpochGuard;
  readonly #timers: MirroredTimers;
  readonly #onApplied: () => void;
  #closedBy: string | undefined;

  constructor(
    {
      tables,
      guard,
      timers,
    }: { tables: MetadataTables; guard: EpochGuard; timers: MirroredTimers },
    onApplied: () => void,
  ) {
    this.#tables = tables;
    this.#guard = guard;
    this.#timers = timers;
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
    this.#mirrorTimers(snapshot.timerCheckpoint);
    this.#onApplied();
    return counts;
  }

  /** Not part of what must be durable: without it a promotion looks deliveries up in the log. */
  #mirrorTimers(checkpoint: string | undefined): void {
    if (checkpoint === undefined) return;
    this.#timers.mirror(Buffer.from(checkpoint, 'base64')).catch((reason: unknown) => {
      const error = DrError.from(reason).message;
      log.warn('timer.unmirrored', 'timer times of the source could not be kept', { error });
    });
  }
}
