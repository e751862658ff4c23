// The registration with one name server. Rounds of one name server follow each other, never two at a
// time; a call during a round waits for a later round, which carries what is true then. Each name server
// has its own rounds, so that one that is slow or away delays no other.
// Source: ours, after BrokerOuterAPI of Apache.
import { createLog, DrError, gauge } from '../../base/index.ts';
import type { PeerClient } from '../../client/index.ts';
import { decodeKvTable, type RemotingCommand } from '../../protocol/index.ts';
import {
  dataVersionRequest,
  type RegistrationFacts,
  registerRequests,
  unregisterRequest,
} from './register-requests.ts';

const log = createLog('broker');
const UNREGISTER_TIMEOUT_MS = 3_000;

const registered = gauge({
  name: 'dr_broker_registered',
  help: '1 while the name server takes our registrations',
  labelNames: ['nameserver'],
});

export interface SessionOptions {
  address: string;
  peer: PeerClient;
  facts: () => RegistrationFacts;
  /** The ORDER_TOPIC_CONFIG table a name server gave us. */
  ordered(topics: string[]): void;
}

export type RoundOutcome = { address: string; reason: DrError } | undefined;

export class NameServerSession {
  readonly #options: SessionOptions;
  #round: Promise<RoundOutcome> | undefined;
  #next: Promise<RoundOutcome> | undefined;
  /** The next round registers whatever the name server holds. */
  #isForced = true;
  #isFailing = false;
  #isLeaving = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** @param force false = only where the data version differs. Never rejects. */
  register(force: boolean): Promise<RoundOutcome> {
    this.#isForced ||= force;
    // Order: nothing is registered after the goodbye.
    if (this.#isLeaving) return Promise.resolve(undefined);
    if (this.#round === undefined) {
      this.#round = this.#run().finally(() => {
        this.#round = undefined;
      });
      return this.#round;
    }
    this.#next ??= this.#round.then(() => {
      this.#next = undefined;
      return this.register(false);
    });
    return this.#next;
  }

  async #run(): Promise<RoundOutcome> {
    const { address } = this.#options;
    try {
      if (this.#isForced || (await this.#isChanged())) await this.#registerNow();
      this.#note(undefined);
      return undefined;
    } catch (reason) {
      const error = DrError.from(reason);
      // Why: what was refused or lost must be sent again, whatever the version says.
      this.#isForced = true;
      this.#note(error);
      return { address, reason: error };
    }
  }

  async #registerNow(): Promise<void> {
    const { address, peer, facts } = this.#options;
    const now = facts();
    this.#isForced = false;
    let answer: RemotingCommand | undefined;
    for (const request of registerRequests(now)) {
      answer = await peer.call(address, request, now.config.registerBrokerTimeoutMills);
    }
    if (answer?.body && answer.body.length > 0) {
      this.#options.ordered(Object.keys(decodeKvTable(answer.body)));
    }
  }

  async #isChanged(): Promise<boolean> {
    const { address, peer, facts } = this.#options;
    const now = facts();
    const timeoutMs = now.config.registerBrokerTimeoutMills;
    const answer = await peer.call(address, dataVersionRequest(now), timeoutMs);
    return answer.ext['changed'] !== 'false';
  }

  /** One log line per change, not per round. */
  #note(error: DrError | undefined): void {
    const { address } = this.#options;
    registered.set({ nameserver: address }, error === undefined ? 1 : 0);
    if (error === undefined) {
      if (this.#isFailing) {
        log.info('registration.restored', 'name server takes registrations again', { address });
      }
      this.#isFailing = false;
      return;
    }
    if (this.#isFailing) return;
    this.#isFailing = true;
    log.warn('registration.failed', 'name server did not take the registration; trying again', {
      address,
      code: error.code,
      error: error.message,
    });
  }

  /** Says goodbye after the round under way. Never rejects. */
  async leave(): Promise<void> {
    const { address, peer, facts } = this.#options;
    this.#isLeaving = true;
    await this.#round;
    registered.remove({ nameserver: address });
    try {
      await peer.call(address, unregisterRequest(facts()), UNREGISTER_TIMEOUT_MS);
    } catch (reason) {
      const error = DrError.from(reason).message;
      log.info('registration.left', 'name server was not told of the stop', { address, error });
    }
  }
}
