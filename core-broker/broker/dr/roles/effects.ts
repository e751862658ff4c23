// What follows from the guard's state in the rest of the broker: delivery of delayed messages, name
// servers, HA streams, held pulls, parked frames. One idempotent function, called after every change.
// Order: the guard changes first (it is what protects), its consequences follow from here.
// Source: switchover "Promote" (last steps), "What clients see".
import { createLog, sleep } from '../../../base/index.ts';
import { Perm } from '../../../protocol/index.ts';
import type { HaServer } from '../../ha/index.ts';
import type { BrokerParts } from '../../parts.ts';
import type { DrAdmission } from './dr-admission.ts';

const log = createLog('dr');
/** A promotion answers after this at the latest, though a name server may be dead. */
const REGISTER_WAIT_MS = 1000;

export interface EffectParts {
  parts: BrokerParts;
  ha: HaServer;
  admission: DrAdmission;
  /** A sealed or former active side that relays, or will in a moment, takes its clients' writes. */
  isRelaying(): boolean;
  /** Dispatches what was parked; called when the store is open. */
  release(): void;
  /** Answers what was parked with a refusal; called when nothing can take it any more. */
  refuseParked(): void;
}

export class RoleEffects {
  readonly #with: EffectParts;
  #shown = '';
  #role = '';
  #isStarted = false;

  constructor(parts: EffectParts) {
    this.#with = parts;
  }

  /** From here on name servers are told and delayed messages delivered. */
  start(): void {
    this.#isStarted = true;
    this.refresh('start');
  }

  stop(): void {
    this.#isStarted = false;
    this.#with.parts.schedule.stop();
  }

  /** Brings everything in line with the guard; harmless when nothing changed. */
  refresh(why: string): void {
    const { parts, ha, admission } = this.#with;
    const { guard } = parts.store;
    const { writeState } = guard;
    parts.tables.offsets.enforceBounds(guard.state.role === 'active');
    admission.refresh();
    if (writeState === 'open' && this.#isStarted) parts.schedule.start();
    else parts.schedule.stop();
    this.#showState(why);
    const role = `${guard.state.role}@${guard.state.epoch}`;
    const feeds = writeState === 'open' || writeState === 'fenced' || writeState === 'sealed';
    if (this.#role !== '' && (role !== this.#role || !feeds)) ha.dropAll(`${role}, ${writeState}`);
    this.#role = role;
    if (writeState === 'open') this.#with.release();
    else if (admission.state === 'refused' && !this.#with.isRelaying()) this.#with.refuseParked();
  }

  /** One registration round, waited for briefly; failures are retried by the regular period. */
  async register(): Promise<void> {
    if (!this.#isStarted) return;
    const round = this.#with.parts.registration.registerNow().then((failed) => {
      for (const { address, reason } of failed) {
        log.warn('register.failed', reason.message, { nameserver: address });
      }
    });
    await Promise.race([round, sleep(REGISTER_WAIT_MS)]);
  }

  #showState(why: string): void {
    const { parts } = this.#with;
    const { guard } = parts.store;
    const { epoch, role } = guard.state;
    const takesWrites = ['open', 'fenced', 'sealed'].includes(guard.writeState);
    const mayWrite = takesWrites || this.#with.isRelaying();
    const permission = mayWrite ? Perm.READ | Perm.WRITE : Perm.READ;
    const shown = `${guard.writeState} ${role}@${epoch} ${permission}`;
    if (shown === this.#shown) return;
    log.info('role.changed', 'write state of this broker', { from: this.#shown, to: shown, why });
    const before = this.#shown;
    this.#shown = shown;
    parts.registration.setRole({ stateVersion: epoch, permission });
    if (leftOpen(before)) parts.pulls.answerAll();
    if (routePart(before) !== routePart(shown)) void this.register();
  }
}

const leftOpen = (before: string): boolean =>
  before.startsWith('open') || before.startsWith('fenced');
/** Name servers care for epoch and permission only: a fence tells them nothing new. */
const routePart = (shown: string): string => shown.slice(shown.indexOf(' ') + 1);
