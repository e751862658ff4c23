// Asks the other regions who is active: at boot until somebody answers, and for good afterwards.
//   closed + an answer and none higher -> open     any higher epoch -> deposed, durably
//   closed + nobody answers            -> stays closed, health red, keeps asking
// A side that was only cut off (no restart) learns here too that it was replaced. With a lease it also
// stops acknowledging when nobody has answered for that long.
// Invariant: silence never opens a store. Equal epochs of two active regions never open one either.
// Source: ours; a lease is what one side may rely on without asking the other.
import { createLog, DrError, sleep } from '../../../base/index.ts';
import type { DrClient } from '../../../client/index.ts';
import { DR_CODE, type DrStatus, type FlipResult } from '../../../protocol/index.ts';
import type { EpochGuard } from '../../../store/index.ts';
import type { ActiveFact, Knowledge } from './knowledge.ts';

const log = createLog('dr');
const ASK_TIMEOUT_MS = 1000;
const CLOSED_INTERVAL_MS = 300;
const WATCH_INTERVAL_MS = 1000;

export interface PeerWatchOptions {
  guard: EpochGuard;
  known: Knowledge;
  client: DrClient;
  ownRegion: string;
  /** The broker of our name in every other region. */
  brokers: string[];
  globalNameservers: string[];
  /** 0 = no lease. */
  leaseMs: number;
  monotonicMs(): number;
  /** The boot check opened the store, or a lease ran out or came back. */
  onChange(change: 'opened' | 'lease-lost' | 'lease-back'): void;
}

interface Answer {
  facts: ActiveFact[];
  /** Why this answer forbids to open although no epoch is higher. */
  conflict: string | undefined;
}

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  #conflict: string | undefined;
  #hasEverAnswered = false;
  #lastAnswerMs: number;
  /** An operator's activation without any peer suspends the lease until the first answer. */
  #isLeaseSuspended = false;
  #asking: Promise<void> | undefined;

  constructor(options: PeerWatchOptions) {
    this.#options = options;
    this.#lastAnswerMs = options.monotonicMs();
  }

  /** Loop until the signal fires; never rejects for a peer's sake. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.ask();
      await sleep(this.#intervalMs(), signal).catch((reason: unknown) => {
        if (!signal.aborted) throw reason;
      });
    }
  }

  /** One round; calls that come while one runs share it. */
  ask(): Promise<void> {
    this.#asking ??= this.#round().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** False once nobody has answered for the length of the lease. */
  leaseHolds(): boolean {
    const { leaseMs, monotonicMs } = this.#options;
    if (leaseMs === 0 || this.#isLeaseSuspended) return true;
    return monotonicMs() - this.#lastAnswerMs < leaseMs;
  }

  suspendLease(): void {
    this.#isLeaseSuspended = true;
  }

  /** Sentences for health; empty when this part has nothing to complain about. */
  get reasons(): string[] {
    const { guard } = this.#options;
    if (guard.writeState !== 'closed') return [];
    const epoch = guard.state.epoch;
    if (this.#conflict !== undefined) return [`closed at epoch ${epoch}: ${this.#conflict}`];
    const hint = `dr activate --epoch ${epoch} --yes`;
    if (this.#hasEverAnswered) return [`closed at epoch ${epoch}`];
    return [`closed at epoch ${epoch}: no peer and no global name server answered; see ${hint}`];
  }

  /** A dead peer must not take the whole lease before it is asked again. */
  #intervalMs(): number {
    const { guard, leaseMs } = this.#options;
    if (guard.writeState === 'closed') return CLOSED_INTERVAL_MS;
    return leaseMs > 0 ? Math.min(WATCH_INTERVAL_MS, leaseMs / 4) : WATCH_INTERVAL_MS;
  }

  async #round(): Promise<void> {
    const { brokers, globalNameservers, leaseMs } = this.#options;
    const waitMs = leaseMs > 0 ? Math.min(ASK_TIMEOUT_MS, leaseMs / 2) : ASK_TIMEOUT_MS;
    const answers = await Promise.all([
      ...brokers.map((address) => this.#askBroker(address, waitMs)),
      ...globalNameservers.map((address) => this.#askNameserver(address, waitMs)),
    ]);
    this.#judge(answers.filter((answer) => answer !== undefined));
  }

  /** One tick: what was heard and what follows from it are never torn apart. */
  #judge(answers: Answer[]): void {
    const { guard, known, onChange } = this.#options;
    for (const fact of answers.flatMap((answer) => answer.facts)) known.learn(fact);
    this.#conflict = answers.find((answer) => answer.conflict !== undefined)?.conflict;
    if (answers.length > 0) {
      this.#hasEverAnswered = true;
      this.#isLeaseSuspended = false;
      this.#lastAnswerMs = this.#options.monotonicMs();
      onChange('lease-back');
    } else if (!this.leaseHolds()) {
      onChange('lease-lost');
    }
    const mayOpen = answers.length > 0 && this.#conflict === undefined && !known.isOutdated;
    if (guard.writeState !== 'closed' || !mayOpen) return;
    if (!this.#open()) return;
    log.info('epoch.opened', 'peers answered and none has a higher epoch', {
      epoch: guard.state.epoch,
      answers: answers.length,
    });
    onChange('opened');
  }

  /** False when the disk does not take the epoch file: still closed, tried again in the next round. */
  #open(): boolean {
    const { guard } = this.#options;
    try {
      guard.open(guard.state.epoch);
      return true;
    } catch (reason) {
      this.#conflict = `the epoch file cannot be written: ${DrError.from(reason).message}`;
      log.error('epoch.not-written', this.#conflict, { epoch: guard.state.epoch });
      return false;
    }
  }

  async #askBroker(address: string, waitMs: number): Promise<Answer | undefined> {
    const { client, ownRegion, guard } = this.#options;
    const request = { code: DR_CODE.STATUS, body: {} };
    const status = await quiet(client.control<DrStatus>(address, request, waitMs), address);
    if (status === undefined) return undefined;
    const facts: ActiveFact[] = [
      { region: status.activeRegion ?? '', epoch: status.activeEpoch },
      { region: status.role === 'active' ? status.region : '', epoch: status.epoch },
    ];
    const { state } = guard;
    if (status.storeId === state.storeId) {
      return { facts, conflict: `${address} is a copy of this very store (same store id)` };
    }
    const isRival = status.role === 'active' && status.region !== ownRegion;
    const conflict =
      isRival && state.role === 'active' && status.epoch === state.epoch
        ? `${status.region} is active at the same epoch ${status.epoch}`
        : undefined;
    return { facts, conflict };
  }

  async #askNameserver(address: string, waitMs: number): Promise<Answer | undefined> {
    const { client, ownRegion, guard } = this.#options;
    const request = { code: DR_CODE.FLIP_STATUS, body: {} };
    const flip = await quiet(client.control<FlipResult>(address, request, waitMs), address);
    if (flip === undefined) return undefined;
    const { role, epoch } = guard.state;
    const isRival = role === 'active' && flip.epoch === epoch && flip.region !== ownRegion;
    return {
      facts: [{ region: flip.region, epoch: flip.epoch }],
      conflict: isRival ? `${address} names ${flip.region} at the same epoch` : undefined,
    };
  }
}

/** An answer, or undefined from a peer that is down, too old or of another secret. */
async function quiet<T>(call: Promise<T>, address: string): Promise<T | undefined> {
  try {
    return await call;
  } catch (reason) {
    const failure = DrError.from(reason);
    log.debug('peer.silent', failure.message, { address, code: failure.code });
    return undefined;
  }
}
