// Two-phase fence of the active side.
//   open -> fenced (memory, until a deadline) -> sealed (durable, never expires) -> relay or abort
// While fenced nothing is appended and clients wait; the fence lifts by itself and the waiting sends are
// appended as if nothing had happened. A seal needs a fence of the same operation that still stands: an
// expired one means the operation took longer than it promised and must start again.
// Invariant: only the operation that sealed unseals, and never once another region has a higher epoch.
// Source: switchover "Planned: two-phase fence", "Abort".
import { createLog, DrError, sleep } from '../../../base/index.ts';
import { decodeCommand, type FenceRequest, isOneway } from '../../../protocol/index.ts';
import type { ServerConnection } from '../../../remoting/index.ts';
import type { BrokerParts } from '../../parts.ts';
import type { Parking } from '../parking.ts';
import type { DrAdmission } from './dr-admission.ts';
import type { RetiredOps } from './retired-ops.ts';

const log = createLog('dr');
/** Parked bytes appended before the log is given time to write them. */
const RELEASE_SLICE_BYTES = 8 * 1024 * 1024;
const SWEEP_MS = 50;
/** Longest wait of a seal for the timers' last save; later it costs lookups, never a message. */
const TIMERS_MS = 500;
/** The fence of a lease that ran out: it refuses, since nobody promised to lift it soon. */
const LEASE_OP = 'lease-ran-out';

export interface FenceParts {
  parts: BrokerParts;
  parking: Parking;
  admission: DrAdmission;
  /** Operations that were given up; a late request of one of them must not fence again. */
  retired: RetiredOps;
  refresh(why: string): void;
  /** Asks the peers now, so that an abort after a promotion is refused. */
  askPeers(): Promise<void>;
}

export class FenceDesk {
  readonly #with: FenceParts;
  #fencedBy: string | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #isReleasing = false;

  constructor(parts: FenceParts) {
    this.#with = parts;
  }

  /** Operation whose fence stands; undefined when none does or a seal replaced it. */
  get fencedBy(): string | undefined {
    return this.#with.parts.store.guard.writeState === 'fenced' ? this.#fencedBy : undefined;
  }

  get isLeaseFence(): boolean {
    return this.fencedBy === LEASE_OP;
  }

  start(): void {
    this.#sweep = setInterval(() => this.#refuseExpired(), SWEEP_MS);
  }

  /** Stops the timers; a fence that stands is lifted by the restart. */
  stop(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#deadline);
    this.refuseParked();
  }

  /** Idempotent by opId; a repeated request does not move the deadline. */
  fence(request: FenceRequest): void {
    const { opId, deadlineMs } = request;
    const { guard } = this.#with.parts.store;
    if (!(deadlineMs > 0)) throw new DrError('USAGE', 'deadlineMs must be a positive number');
    this.#with.retired.refuse(opId);
    const isSealedByMe = guard.writeState === 'sealed' && guard.state.sealedBy === opId;
    if (this.fencedBy === opId || isSealedByMe) return;
    if (guard.writeState !== 'open') throw this.#wrongState('fence');
    // Order: what the services of the active side still owe the log goes in before the fence, and the
    // timers write down how far they came while the switch goes on.
    this.#with.parts.schedule.stop();
    this.#setFence(opId);
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#expire(opId), deadlineMs);
    this.#with.refresh(`fenced by ${opId}`);
  }

  /** Lifts a fence that was not sealed and gives the operation up; harmless when nothing is set. */
  unfence(opId: string): void {
    const { guard } = this.#with.parts.store;
    if (guard.state.sealedBy === opId) throw this.#wrongState('unfence');
    if (this.fencedBy === opId) this.#lift(opId, 'unfenced');
    this.#with.retired.retire(opId);
  }

  /** Durable on return; everything appended before is on disk, dispatched and counted. */
  async seal(opId: string): Promise<void> {
    const { store, schedule, timers, tables } = this.#with.parts;
    const { guard } = store;
    this.#with.retired.refuse(opId);
    const isRepeated = guard.writeState === 'sealed' && guard.state.sealedBy === opId;
    if (!isRepeated) {
      if (this.fencedBy !== opId) throw this.#wrongState('seal');
      guard.seal(opId);
      clearTimeout(this.#deadline);
      this.#with.refresh(`sealed by ${opId}`);
    }
    schedule.stop();
    // So that the last copy of the timer times, which follows, is exact: nothing is delivered twice.
    await Promise.race([timers.stopped(), sleep(TIMERS_MS)]);
    await store.flush();
    await store.dispatched();
    // Order: whoever waited for these bytes (delivery of delayed messages) moves its offset first.
    await store.durable(store.storeBounds().maxOffset);
    await new Promise((resolve) => setImmediate(resolve));
    tables.save();
  }

  /** Abort: gives the operation up; opens again unless somebody was promoted meanwhile. */
  async unseal(opId: string): Promise<void> {
    const { guard } = this.#with.parts.store;
    // Why: after a failed write of drEpoch the disk may say "sealed" while memory does not.
    guard.confirm();
    const { sealedBy } = guard.state;
    if (sealedBy === undefined) return this.unfence(opId);
    if (sealedBy !== opId) throw this.#wrongState('unseal');
    await this.#with.askPeers();
    // The answer may have deposed this side; asking state again is the check.
    if (guard.writeState !== 'sealed') throw this.#wrongState('unseal');
    // Order: given up on disk first; a kill in between leaves a seal that UNSEAL still lifts.
    this.#with.retired.retire(opId);
    guard.unseal(opId);
    this.#with.refresh(`unsealed by ${opId}`);
    // After a restart under the seal the boot check is still owed.
    if ((guard.writeState as string) === 'closed') await this.#with.askPeers();
  }

  /** Stops acknowledging until a peer answers again. */
  fenceByLease(): void {
    if (this.#with.parts.store.guard.writeState !== 'open') return;
    this.#setFence(LEASE_OP);
    this.#with.refresh('lease ran out');
  }

  liftLease(): void {
    if (this.isLeaseFence) this.#lift(LEASE_OP, 'a peer answered again');
  }

  /** Dispatches parked frames in arrival order; new ones keep waiting behind them. */
  release(): void {
    if (this.#isReleasing) return;
    if (this.#with.parking.count === 0) return;
    this.#isReleasing = true;
    void this.#releaseAll().finally(() => {
      this.#isReleasing = false;
    });
  }

  /** Answers everything parked with a refusal the clients retry elsewhere. */
  refuseParked(): void {
    for (;;) {
      const parked = this.#with.parking.takeFirst();
      if (parked === undefined) return;
      this.#refuse(parked.connection, parked.frame);
    }
  }

  async #releaseAll(): Promise<void> {
    const { parts, parking, admission } = this.#with;
    const { store } = parts;
    admission.releasing('waiting');
    try {
      while (parking.count > 0 && store.guard.writeState === 'open') {
        this.#releaseSlice();
        if (parking.count === 0) break;
        await store.durable(store.storeBounds().maxOffset);
      }
    } catch (reason) {
      const failure = DrError.from(reason);
      log.error('fence.release-failed', failure.message, { parkedSends: parking.count });
      this.refuseParked();
    } finally {
      // Order: no await since the last frame left, so nobody can have overtaken it.
      admission.releasing('none');
    }
  }

  #releaseSlice(): void {
    const { parts, parking, admission } = this.#with;
    admission.releasing('passing');
    try {
      for (let bytes = 0; bytes < RELEASE_SLICE_BYTES; ) {
        const parked = parking.takeFirst();
        if (parked === undefined) return;
        bytes += parked.frame.length;
        parts.frames.inject(parked.connection, parked.frame);
      }
    } finally {
      admission.releasing('waiting');
    }
  }

  #setFence(opId: string): void {
    this.#with.parts.store.guard.fence(opId);
    this.#fencedBy = opId;
  }

  #expire(opId: string): void {
    if (this.fencedBy !== opId) return;
    log.warn('fence.expired', 'nobody sealed in time: parked sends are appended', { opId });
    this.#lift(opId, 'fence expired');
  }

  #lift(opId: string, why: string): void {
    clearTimeout(this.#deadline);
    this.#with.parts.store.guard.unfence(opId);
    this.#with.refresh(why);
  }

  #refuseExpired(): void {
    const { parking, parts } = this.#with;
    if (parking.count === 0 || this.#isReleasing) return;
    for (const { connection, frame } of parking.takeExpired(parts.clock.monotonicMs())) {
      this.#refuse(connection, frame);
    }
  }

  #refuse(connection: ServerConnection, frame: Buffer): void {
    if (!connection.isOpen) return;
    const command = decodeCommand(frame, 0, frame.length);
    if (!isOneway(command)) connection.respond(command.opaque, this.#with.admission.refusal());
  }

  #wrongState(verb: string): DrError {
    const { guard } = this.#with.parts.store;
    const by = guard.state.sealedBy ?? this.fencedBy ?? 'nobody';
    const text = `cannot ${verb}: this side is ${guard.writeState} (by ${by})`;
    return new DrError('REFUSED', text, {
      context: { writeState: guard.writeState, epoch: guard.state.epoch },
    });
  }
}
