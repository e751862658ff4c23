// Registers this broker with every name server: at start, on the clock, after each change of topics or
// role, and says goodbye at the end. Name servers do not talk to each other, so each is told everything;
// how it goes with one of them is name-server-session.ts, who they are is name-server-list.ts.
// The role decides two things: stateVersion (the epoch, so that an old active side never wins) and the
// permission mask (4 while this side takes no writes). Source: BrokerController of Apache, behaviour only.
import { atMost, type Clock, createLog, DrError } from '../../base/index.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import { Perm, type TopicConfig } from '../../protocol/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { MetadataTables } from '../metadata/index.ts';
import type { Registration, RegistrationRole } from '../parts.ts';
import { NameServerList, type Resolve } from './name-server-list.ts';
import { NameServerSession } from './name-server-session.ts';
import { type RegistrationFacts, singleTopicRequest } from './register-requests.ts';

const PERIOD_MS = { min: 10_000, max: 60_000 };
const SINGLE_TOPIC_TIMEOUT_MS = 3_000;
/** An answer waits this long for a name server that is away; clients give up after 3 s and more. */
const ANNOUNCED_MS = 2_000;

const log = createLog('broker');

export interface RegistrationOptions {
  config: BrokerConfig;
  tables: Pick<MetadataTables, 'topics'>;
  clock: Clock;
  /** host:port advertised to clients and to slaves. */
  addresses: () => { broker: string; ha: string };
  /** Addresses of a host name; the system's resolver unless a test brings its own. */
  resolve?: Resolve;
}

export class RegistrationService implements Registration {
  readonly #options: RegistrationOptions;
  readonly #peer: PeerClient = createPeerClient();
  readonly #list: NameServerList;
  readonly #sessions = new Map<string, NameServerSession>();
  #role: RegistrationRole = { stateVersion: 0, permission: 6 };
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  /** How the last change of topics is told. */
  #telling: Promise<unknown> = Promise.resolve();

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#list = new NameServerList(options.config, () => void this.registerNow(), options.resolve);
    options.tables.topics.onChange((changed) => this.#topicsChanged(changed));
  }

  get nameservers(): string[] {
    return this.#list.current;
  }

  setRole(role: RegistrationRole): void {
    const isNewMask = role.permission !== this.#role.permission;
    this.#role = { ...role };
    this.#options.tables.topics.setStateVersion(role.stateVersion);
    // Why: name servers take permissions only with a DataVersion they have not seen.
    if (isNewMask) this.#options.tables.topics.bump();
  }

  /** First round, then the clock. A name server that is away is tried again; the broker serves. */
  async start(): Promise<void> {
    this.#isRunning = true;
    const wanted = this.#options.config.registerNameServerPeriod;
    const periodMs = Math.min(Math.max(wanted, PERIOD_MS.min), PERIOD_MS.max);
    await this.#list.start();
    if (!this.#isRunning) return;
    this.#timer = setInterval(() => void this.registerPeriodically(), periodMs);
    await this.registerNow();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const wasRunning = this.#isRunning;
    this.#isRunning = false;
    await this.#list.stop();
    if (wasRunning) await Promise.all([...this.#sessions.values()].map((each) => each.leave()));
    this.#peer.close();
  }

  /** The round of the clock: forceRegister=false asks each name server first. */
  registerPeriodically(): Promise<{ address: string; reason: DrError }[]> {
    return this.#registerAll(this.#options.config.forceRegister);
  }

  /** A call during a round waits for a later round, which carries what is true now. */
  registerNow(): Promise<{ address: string; reason: DrError }[]> {
    return this.#registerAll(true);
  }

  announced(): Promise<unknown> {
    return atMost(this.#telling, ANNOUNCED_MS);
  }

  async #registerAll(force: boolean): Promise<{ address: string; reason: DrError }[]> {
    this.#followList();
    const rounds = [...this.#sessions.values()].map((session) => session.register(force));
    const outcomes = await Promise.all(rounds);
    return outcomes.filter((outcome) => outcome !== undefined);
  }

  /** A name server that is no longer listed is told that we left: it would name us for 120 s. */
  #followList(): void {
    const listed = new Set(this.nameservers);
    for (const address of listed) {
      if (!this.#sessions.has(address)) this.#sessions.set(address, this.#session(address));
    }
    for (const [address, session] of this.#sessions) {
      if (listed.has(address)) continue;
      this.#sessions.delete(address);
      void session.leave();
    }
  }

  #session(address: string): NameServerSession {
    return new NameServerSession({
      address,
      peer: this.#peer,
      facts: () => this.#facts(),
      ordered: (topics) => this.#markOrdered(topics),
    });
  }

  #facts(): RegistrationFacts {
    const { config, tables, addresses } = this.#options;
    const mask = config.brokerPermission & this.#role.permission;
    return { config, topics: tables.topics, addresses: addresses(), mask };
  }

  #topicsChanged(changed: TopicConfig[]): void {
    if (!this.#isRunning) return;
    const isAlone = this.#options.config.enableSingleTopicRegister && changed.length > 0;
    this.#telling = isAlone ? this.#announce(changed) : this.registerNow();
  }

  /** Code 217 to all; what it misses comes with the next registration. Never rejects. */
  async #announce(changed: TopicConfig[]): Promise<void> {
    const facts = this.#facts();
    for (const topic of changed) {
      const request = singleTopicRequest(facts, topic);
      const calls = this.nameservers.map((address) =>
        this.#peer.call(address, request, SINGLE_TOPIC_TIMEOUT_MS),
      );
      for (const call of await Promise.allSettled(calls)) {
        if (call.status === 'fulfilled') continue;
        const { topicName } = topic;
        const error = DrError.from(call.reason).message;
        log.info('registration.topic-missed', 'a topic was not announced', { topicName, error });
      }
    }
  }

  /** Topics with an order configuration are marked so; as in 5.x nothing is ever unmarked. */
  #markOrdered(names: string[]): void {
    // A side that takes no writes keeps the tables the active side gave it.
    if ((this.#role.permission & Perm.WRITE) === 0) return;
    const { topics } = this.#options.tables;
    const found = names.flatMap((name) => topics.find(name)?.config ?? []);
    const marked = found
      .filter((topic) => !topic.order)
      .map((topic) => ({ ...topic, order: true }));
    if (marked.length > 0) topics.put(...marked);
  }
}
