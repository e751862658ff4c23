// The highest epoch this broker has heard of, and the rule that follows from it: an active side that
// hears of a higher epoch is deposed, durably and at once, whoever told it.
// Invariant: the number only grows. When the fact cannot be written (full disk) the guard is closed in
// memory all the same and the next round tries again: not writing never waits for a disk.
// Source: switchover "Epoch".
import { createLog, DrError } from '../../../base/index.ts';
import type { EpochGuard } from '../../../store/index.ts';

const log = createLog('dr');

export interface ActiveFact {
  region: string;
  epoch: number;
}

export class Knowledge {
  readonly #guard: EpochGuard;
  readonly #onDeposed: () => void;
  #heard: ActiveFact | undefined;

  constructor(guard: EpochGuard, onDeposed: () => void) {
    this.#guard = guard;
    this.#onDeposed = onDeposed;
    this.#heard = guard.state.deposedBy;
  }

  /** Region that writes, as far as known; undefined for a standby that has heard of nobody. */
  get active(): ActiveFact | undefined {
    const { role, region, epoch } = this.#guard.state;
    if (this.#heard !== undefined && this.#heard.epoch >= epoch) {
      if (role === 'standby' || this.#heard.epoch > epoch) return this.#heard;
    }
    return role === 'active' ? { region, epoch } : this.#heard;
  }

  /** True when somebody else has an epoch above ours. */
  get isOutdated(): boolean {
    return (this.#heard?.epoch ?? 0) > this.#guard.state.epoch;
  }

  /** Takes over a higher epoch; an active side is deposed before this returns. */
  learn(fact: ActiveFact): void {
    const isNews = fact.epoch > (this.#heard?.epoch ?? 0);
    const isBetterName = fact.epoch === this.#heard?.epoch && this.#heard.region === '';
    if (isNews || isBetterName) this.#heard = { ...fact };
    const { role, epoch } = this.#guard.state;
    if (role !== 'active' || fact.epoch <= epoch) return;
    if (this.#guard.writeState !== 'deposed') this.#depose(fact, epoch);
  }

  #depose(by: ActiveFact, epoch: number): void {
    log.error(
      'epoch.deposed',
      'another region has a higher epoch: writes are refused from now on',
      {
        epoch,
        by,
        runbook: 'docs/runbook-switchover.md',
      },
    );
    try {
      this.#guard.depose(by);
    } catch (reason) {
      const failure = DrError.from(reason);
      log.error('epoch.not-written', failure.message, { by });
    }
    this.#onDeposed();
  }
}
