// Decides whether an append may happen: the fencing token of a region, its role and its seal.
// Idea: what is in force is what the file says. Every durable change is written and fsynced first and
// assigned after; a write whose outcome is unknown closes the store until a later one succeeds.
// Volatile on purpose: the fence (its expiry may lift it) and "the boot check was done".
// Invariant: the epoch never falls; local appends need role active, an unsealed, not deposed, opened and
// unfenced state; link appends need role standby and the exact epoch.
// Source: ours; the order of the steps is in ARCHITECTURE.md.
import { randomUUID } from 'node:crypto';
import { DrError } from '../../base/index.ts';
import type { LineageEntry, RegionRole, WriteState } from '../../protocol/index.ts';
import type { EpochGuard, EpochState } from '../door.ts';
import { readEpochState, writeEpochFile } from './epoch-file.ts';

export interface GuardInit {
  file: string;
  region: string;
  initialRole: RegionRole;
}

export class FileEpochGuard implements EpochGuard {
  readonly #file: string;
  #state: EpochState;
  #writeState: WriteState = 'closed';
  #fencedBy: string | undefined;
  #isOpened = false;
  /** The last write of the file failed: on disk may be the old or the new state. */
  #isInDoubt = false;

  private constructor(file: string, state: EpochState) {
    this.#file = file;
    this.#state = state;
    this.#settle();
  }

  /**
   * Reads or creates the epoch file.
   * @param logEnd   recovered end of the log
   * @param isAbnormal  the last run did not end cleanly: a new stretch of history begins
   * @throws DrError CORRUPT (damaged file), REFUSED (file of another region)
   */
  static load(init: GuardInit, logEnd: number, isAbnormal: boolean): FileEpochGuard {
    const known = readEpochState(init.file);
    if (known === undefined) {
      const fresh = firstState(init, logEnd);
      writeEpochFile(init.file, fresh);
      return new FileEpochGuard(init.file, fresh);
    }
    if (known.region !== init.region) {
      throw new DrError('REFUSED', `${init.file} belongs to region ${known.region}`, {
        hint: `the configuration says ${init.region}; one store belongs to one region`,
      });
    }
    const guard = new FileEpochGuard(init.file, known);
    if (isAbnormal && known.role === 'active') guard.#noteAbnormalBoot(logEnd);
    return guard;
  }

  get writeState(): WriteState {
    return this.#writeState;
  }

  get state(): EpochState {
    return this.#state;
  }

  check(writer: 'local' | 'link', epoch: number): void {
    const needed = writer === 'local' ? 'open' : 'standby';
    if (this.#writeState === needed && epoch === this.#state.epoch) return;
    throw this.#refusal(writer, epoch);
  }

  fence(opId: string): void {
    const { sealedBy } = this.#state;
    if (this.#writeState === 'fenced' && this.#fencedBy === opId) return;
    if (this.#writeState === 'sealed' && sealedBy === opId) return;
    this.#require('open', 'fence');
    this.#fencedBy = opId;
    this.#settle();
  }

  unfence(opId: string): void {
    if (this.#state.sealedBy !== undefined) throw this.#refuse('unfence', 'it is sealed');
    if (this.#fencedBy === undefined) return;
    if (this.#fencedBy !== opId) throw this.#refuse('unfence', `${this.#fencedBy} fenced it`);
    this.#fencedBy = undefined;
    this.#settle();
  }

  seal(opId: string): void {
    const { role, sealedBy, deposedBy } = this.#state;
    if (role !== 'active') throw this.#refuse('seal', 'it is a standby');
    if (deposedBy !== undefined) throw this.#refuse('seal', 'it is deposed');
    if (sealedBy !== undefined && sealedBy !== opId) {
      throw this.#refuse('seal', `${sealedBy} sealed it`);
    }
    if (sealedBy === opId && !this.#isInDoubt) return;
    if (this.#fencedBy !== undefined && this.#fencedBy !== opId) {
      throw this.#refuse('seal', `${this.#fencedBy} fenced it`);
    }
    this.#store({ ...this.#state, sealedBy: opId, opId });
    this.#fencedBy = undefined;
    this.#settle();
  }

  unseal(opId: string): void {
    const { role, sealedBy } = this.#state;
    if (role !== 'active') throw this.#refuse('unseal', 'it is a standby');
    if (sealedBy === undefined && !this.#isInDoubt) return;
    if (sealedBy !== undefined && sealedBy !== opId) {
      throw this.#refuse('unseal', `${sealedBy} sealed it`);
    }
    this.#store({ ...this.#state, sealedBy: undefined, opId });
  }

  promote(change: { opId: string; fromEpoch: number; startOffset: number }): void {
    const { role, epoch, opId } = this.#state;
    const next = change.fromEpoch + 1;
    if (role === 'active' && epoch === next && opId === change.opId && !this.#isInDoubt) return;
    if (role !== 'standby') throw this.#refuse('promote', `it is active at epoch ${epoch}`);
    if (epoch !== change.fromEpoch) {
      throw new DrError('FENCED', `promote from epoch ${change.fromEpoch}, but it is ${epoch}`);
    }
    const entry = { epoch: next, boot: randomUUID(), startOffset: change.startOffset };
    const lineage = continued(this.#state.lineage, entry);
    this.#isOpened = true;
    this.#fencedBy = undefined;
    this.#store({
      ...this.#state,
      role: 'active',
      epoch: next,
      opId: change.opId,
      sealedBy: undefined,
      deposedBy: undefined,
      lineage,
    });
  }

  demote(change: { opId: string; epoch: number; lineage: LineageEntry[] }): void {
    const { role, epoch, opId } = this.#state;
    const isDone = role === 'standby' && epoch === change.epoch && opId === change.opId;
    if (isDone && !this.#isInDoubt) return;
    if (role !== 'active') throw this.#refuse('demote', 'it is a standby already');
    if (change.epoch <= epoch) {
      throw new DrError('FENCED', `demote to epoch ${change.epoch}, but it is ${epoch}`);
    }
    this.#fencedBy = undefined;
    this.#isOpened = false;
    this.#store({
      ...this.#state,
      role: 'standby',
      epoch: change.epoch,
      opId: change.opId,
      sealedBy: undefined,
      deposedBy: undefined,
      lineage: change.lineage,
    });
  }

  depose(by: { region: string; epoch: number }): void {
    const { role, epoch, deposedBy } = this.#state;
    if (role !== 'active') return;
    if (by.epoch <= epoch) {
      throw this.#refuse('depose', `epoch ${by.epoch} is not above ${epoch}`);
    }
    if (deposedBy !== undefined && deposedBy.epoch >= by.epoch && !this.#isInDoubt) return;
    // Order: closed in memory first; a failing disk must not keep a deposed side open.
    this.#isOpened = false;
    this.#fencedBy = undefined;
    this.#settle();
    this.#store({ ...this.#state, deposedBy: { region: by.region, epoch: by.epoch } });
  }

  open(epoch: number): void {
    if (epoch !== this.#state.epoch) {
      throw new DrError('FENCED', `open at epoch ${epoch}, but it is ${this.#state.epoch}`);
    }
    if (this.#isInDoubt) this.#store(this.#state);
    if (this.#writeState === 'open' || this.#writeState === 'fenced') return;
    this.#require('closed', 'open');
    this.#isOpened = true;
    this.#settle();
  }

  adoptLineage(epoch: number, lineage: LineageEntry[]): void {
    if (this.#state.role !== 'standby') {
      throw new DrError('FENCED', 'an active region adopts no history');
    }
    if (epoch < this.#state.epoch) {
      throw new DrError('FENCED', `history of epoch ${epoch}, but it is ${this.#state.epoch}`);
    }
    const isSame =
      epoch === this.#state.epoch &&
      JSON.stringify(lineage) === JSON.stringify(this.#state.lineage);
    if (!isSame || this.#isInDoubt) this.#store({ ...this.#state, epoch, lineage });
  }

  confirm(): void {
    if (this.#isInDoubt) this.#store(this.#state);
  }

  #noteAbnormalBoot(logEnd: number): void {
    const { epoch, lineage } = this.#state;
    const entry = { epoch, boot: randomUUID(), startOffset: logEnd };
    this.#store({ ...this.#state, lineage: continued(lineage, entry) });
  }

  /** Durable first, then in force. */
  #store(next: EpochState): void {
    try {
      writeEpochFile(this.#file, next);
    } catch (reason) {
      this.#isInDoubt = true;
      this.#settle();
      throw DrError.from(reason);
    }
    this.#isInDoubt = false;
    this.#state = next;
    this.#settle();
  }

  #settle(): void {
    this.#writeState = this.#decide();
  }

  #decide(): WriteState {
    const { role, sealedBy, deposedBy } = this.#state;
    if (this.#isInDoubt) return 'closed';
    if (role === 'standby') return 'standby';
    if (deposedBy !== undefined) return 'deposed';
    if (sealedBy !== undefined) return 'sealed';
    if (!this.#isOpened) return 'closed';
    return this.#fencedBy === undefined ? 'open' : 'fenced';
  }

  #require(state: WriteState, what: string): void {
    if (this.#writeState !== state) throw this.#refuse(what, `it is ${this.#writeState}`);
  }

  #refuse(what: string, why: string): DrError {
    return new DrError('REFUSED', `cannot ${what} the store of ${this.#state.region}: ${why}`, {
      context: { writeState: this.#writeState, epoch: this.#state.epoch },
    });
  }

  #refusal(writer: 'local' | 'link', epoch: number): DrError {
    const { region, epoch: own } = this.#state;
    const context = { writer, writeState: this.#writeState, epoch: own, askedEpoch: epoch };
    if (writer === 'local' && this.#writeState === 'standby') {
      return new DrError('NOT_MASTER', `${region} is a standby at epoch ${own}`, { context });
    }
    const why = epoch === own ? this.#writeState : `at epoch ${own}, not ${epoch}`;
    return new DrError('FENCED', `${region} takes no ${writer} append: ${why}`, { context });
  }
}

/** Guard of a broker without a dr section: always open, no file, no link. */
export class PlainGuard implements EpochGuard {
  readonly writeState = 'open';
  readonly state: EpochState = {
    formatVersion: 1,
    region: '',
    role: 'active',
    epoch: 0,
    opId: undefined,
    sealedBy: undefined,
    deposedBy: undefined,
    lineage: [],
    storeId: randomUUID(),
  };

  check(writer: 'local' | 'link'): void {
    if (writer === 'link') throw new DrError('FENCED', 'a broker without a dr section has no link');
  }
  fence = noEpochs;
  unfence = noEpochs;
  seal = noEpochs;
  unseal = noEpochs;
  promote = noEpochs;
  demote = noEpochs;
  depose = noEpochs;
  adoptLineage = noEpochs;
  confirm(): void {
    // No file, never in doubt.
  }
  open(): void {
    // Always open: the boot check has nothing to decide here.
  }
}

function noEpochs(): never {
  throw new DrError('REFUSED', 'this broker has no dr section in its configuration');
}

function firstState(init: GuardInit, logEnd: number): EpochState {
  const isActive = init.initialRole === 'active';
  return {
    formatVersion: 1,
    region: init.region,
    role: init.initialRole,
    epoch: isActive ? 1 : 0,
    opId: undefined,
    sealedBy: undefined,
    deposedBy: undefined,
    lineage: isActive ? [{ epoch: 1, boot: randomUUID(), startOffset: logEnd }] : [],
    storeId: randomUUID(),
  };
}

/**
 * History with one more stretch. Stretches that begin at or behind it hold no byte any more and go:
 * a crash loop adds nothing, and what was lost with an unflushed tail is not claimed.
 */
function continued(lineage: LineageEntry[], entry: LineageEntry): LineageEntry[] {
  return [...lineage.filter((old) => old.startOffset < entry.startOffset), entry];
}
