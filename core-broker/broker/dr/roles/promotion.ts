// Standby -> active with epoch + 1, and back: the two changes of role.
// Promote, idempotent by opId, in this order and no other:
//   close the sink -> fsync the log -> dispatch to the end -> verify the token -> metadata durable
//   -> fsync drEpoch (the point of no return) -> link stopped, schedule, registration with write permission
// Before the point of no return every failure reopens the sink and leaves a standby; behind it nothing
// is undone. The standby broker itself is the authority: a compare-and-set on its own epoch file.
// Source: switchover "Planned", "Failover", "Abort".
import { createLog, DrError } from '../../../base/index.ts';
import type {
  PromoteRequest,
  PromoteResult,
  ReverseRequest,
  SealedTailToken,
} from '../../../protocol/index.ts';
import type { LinkControl } from '../../door.ts';
import type { BrokerParts } from '../../parts.ts';
import type { StoreSink, TableSink } from '../sink/index.ts';
import { type TokenMaker, tokenDifference } from '../token.ts';
import { boundConsumers } from './bound-consumers.ts';
import type { Knowledge } from './knowledge.ts';
import type { LinkDesk } from './link-desk.ts';
import { adoptUnknownTopics } from './unknown-topics.ts';

const log = createLog('dr');

export interface PromotionParts {
  parts: BrokerParts;
  sink: StoreSink;
  tableSink: TableSink;
  tokens: TokenMaker;
  known: Knowledge;
  link(): LinkControl | undefined;
  links: LinkDesk;
  refresh(why: string): void;
  register(): Promise<void>;
  /** Clients that were spliced to the old active side come back here. */
  stopRelay(): void;
  /** Status of `source`, for a reversal that would close a writing side. */
  confirmActive(source: string, epoch: number): Promise<boolean>;
}

export class RoleChange {
  readonly #with: PromotionParts;
  #promotedAtMs: number | undefined;

  constructor(parts: PromotionParts) {
    this.#with = parts;
  }

  /**
   * @throws DrError FENCED (our epoch is not fromEpoch), REFUSED (role), VERIFY_FAILED (token)
   */
  async promote(request: PromoteRequest): Promise<PromoteResult> {
    const { guard } = this.#with.parts.store;
    if (!this.#isPromotedBy(request)) {
      this.#checkPromote(request);
      await this.#with.links.requireHalt(request.opId);
      await this.#promoteChecked(request);
    }
    const own = guard.state.lineage.find((entry) => entry.epoch === guard.state.epoch);
    return {
      epoch: guard.state.epoch,
      startOffset: own?.startOffset ?? 0,
      promotedAtMs: this.#promotedAtMs ?? this.#with.parts.clock.nowMs(),
    };
  }

  /** Sealed, deposed or closed former active side -> standby of `request.epoch`. Idempotent by opId. */
  async reverse(request: ReverseRequest): Promise<void> {
    const { parts, known, sink, tableSink, refresh, register } = this.#with;
    const { guard } = parts.store;
    const link = this.#with.link();
    if (link === undefined) throw new DrError('REFUSED', 'this broker runs without a link');
    if (request.epoch < guard.state.epoch) {
      throw new DrError(
        'FENCED',
        `reverse to epoch ${request.epoch}, but it is ${guard.state.epoch}`,
      );
    }
    if (guard.state.role === 'active') {
      await this.#checkReverse(request);
      known.learn({ region: request.sourceRegion, epoch: request.epoch });
      await parts.store.flush();
      await parts.store.dispatched();
      // Why our own lineage: the divergent tail, if any, is found by the link when it attaches with the
      // history of these bytes. Adopting the new one here would hide it.
      const lineage = [...guard.state.lineage];
      // Order: whom to follow is on disk before the role is; a standby never wakes up with an old source.
      link.noteSource(request);
      guard.demote({ opId: request.opId, epoch: request.epoch, lineage });
    }
    known.learn({ region: request.sourceRegion, epoch: request.epoch });
    sink.reopenGate();
    tableSink.reopenGate();
    refresh(`standby of ${request.sourceRegion}`);
    await register();
    await link.reverse(request);
  }

  #isPromotedBy({ opId, fromEpoch }: PromoteRequest): boolean {
    const { role, epoch, opId: lastOp, deposedBy } = this.#with.parts.store.guard.state;
    const isPromoted = role === 'active' && lastOp === opId && epoch === fromEpoch + 1;
    if (!isPromoted || deposedBy === undefined) return isPromoted;
    throw new DrError('FENCED', `promoted at epoch ${epoch}, deposed by epoch ${deposedBy.epoch}`);
  }

  #checkPromote(request: PromoteRequest): void {
    const { guard } = this.#with.parts.store;
    const { role, epoch } = guard.state;
    if (epoch > request.fromEpoch) {
      throw new DrError('FENCED', `promote from epoch ${request.fromEpoch}, but it is ${epoch}`);
    }
    if (role !== 'standby') throw new DrError('REFUSED', `this side is ${guard.writeState}`);
    if (epoch !== request.fromEpoch) {
      throw new DrError('REFUSED', `this standby is at epoch ${epoch}, not ${request.fromEpoch}`);
    }
    if (request.token === null && !request.forced) {
      throw new DrError('REFUSED', 'a promotion without a token must be forced');
    }
    const active = this.#with.known.active;
    if (active !== undefined && active.epoch > epoch) {
      throw new DrError(
        'FENCED',
        `${active.region || 'another region'} is at epoch ${active.epoch}`,
      );
    }
  }

  async #promoteChecked(request: PromoteRequest): Promise<void> {
    const { parts, sink, tableSink } = this.#with;
    const { store } = parts;
    // Order: both gates in one tick; from here on nothing of the old epoch can be added.
    sink.closeGate(`promotion ${request.opId} is under way`);
    tableSink.closeGate(`promotion ${request.opId} is under way`);
    try {
      // Order: everything received is checked before its end is judged.
      await store.dispatched();
      await store.flush();
      await this.#endAtRecord(request);
      await store.dispatched();
      if (request.token !== null) {
        await this.#verify(request.token);
        await parts.timers.adopt().catch(noteProblem);
      } else adoptUnknownTopics(parts);
      parts.tables.save();
      // Time has passed: what was heard meanwhile counts, in the tick of the act.
      this.#checkPromote(request);
      const startOffset = store.storeBounds().maxOffset;
      if (request.token === null) boundConsumers(parts);
      store.guard.promote({ opId: request.opId, fromEpoch: request.fromEpoch, startOffset });
    } catch (reason) {
      if (store.guard.state.role === 'standby') {
        sink.reopenGate();
        tableSink.reopenGate();
      }
      throw reason;
    }
    this.#promotedAtMs = parts.clock.nowMs();
    await this.#afterPromotion(request);
  }

  /** Behind the point of no return: nothing here may fail the promotion. */
  async #afterPromotion(request: PromoteRequest): Promise<void> {
    const { parts, known, refresh, register, stopRelay } = this.#with;
    const { region, epoch } = parts.store.guard.state;
    log.info('epoch.promoted', 'this region writes from now on', {
      epoch,
      opId: request.opId,
      forced: request.forced,
      startOffset: parts.store.storeBounds().maxOffset,
    });
    known.learn({ region, epoch });
    try {
      stopRelay();
    } catch (reason) {
      noteProblem(reason);
    }
    refresh(`promoted by ${request.opId}`);
    // Not awaited: the sink is closed for good, so the end of the link changes nothing for writers.
    void this.#with.link()?.stop().catch(noteProblem);
    await register();
  }

  /** A copy may end inside a record: never when everything was drained, perhaps after a failover. */
  async #endAtRecord(request: PromoteRequest): Promise<void> {
    const { store } = this.#with.parts;
    const { maxOffset } = store.storeBounds();
    const validated = store.validatedEnd();
    if (validated === maxOffset) return;
    if (request.token === null) return this.#with.sink.cutPartialRecord();
    const text = `the copy ends inside a record (${validated} of ${maxOffset} bytes are whole)`;
    throw new DrError('VERIFY_FAILED', text);
  }

  async #verify(theirs: SealedTailToken): Promise<void> {
    const ours = await this.#with.tokens.compute();
    const difference = tokenDifference(ours, theirs);
    if (difference === undefined) return;
    throw new DrError('VERIFY_FAILED', `token mismatch: ${difference}`, {
      context: { ours, theirs },
    });
  }

  async #checkReverse(request: ReverseRequest): Promise<void> {
    const { guard } = this.#with.parts.store;
    const { epoch } = guard.state;
    if (request.epoch === epoch) {
      throw new DrError('REFUSED', `this side is ${guard.writeState} at epoch ${epoch} itself`);
    }
    if (guard.writeState !== 'open' && guard.writeState !== 'fenced') return;
    // A signed request alone does not close a region that writes: its successor must exist.
    if (await this.#with.confirmActive(request.source, request.epoch)) return;
    throw new DrError('REFUSED', `${request.source} does not say it is active at ${request.epoch}`);
  }
}

/** Behind the point of no return a link or a file that cannot be ended is for the log only. */
function noteProblem(reason: unknown): void {
  log.warn('promotion.unfinished', DrError.from(reason).message, {});
}
