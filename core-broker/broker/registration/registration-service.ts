// Registers this broker with every name server: at start, on the clock, after each change of topics or
// role, and says goodbye at the end. One round at a time; a change during a round starts another one,
// so the name servers always end with the newest tables.
// The role decides two things: stateVersion (the epoch, so that an old active side never wins) and the
// permission mask (4 while this side takes no writes). Source: BrokerOuterAPI, behaviour only.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import {
  bodyCrc,
  encodeRegisterBody,
  RequestCode,
  type TopicConfig,
  type TopicConfigTable,
} from '../../protocol/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { MetadataTables } from '../metadata/index.ts';
import type { Registration, RegistrationRole } from '../parts.ts';

const PERIOD_MS = { min: 10_000, max: 60_000 };
const UNREGISTER_TIMEOUT_MS = 3_000;

const log = createLog('broker');

export interface RegistrationOptions {
  config: BrokerConfig;
  tables: MetadataTables;
  clock: Clock;
  /** host:port advertised to clients and to slaves. */
  addresses: () => { broker: string; ha: string };
}

export class RegistrationService implements Registration {
  readonly #options: RegistrationOptions;
  readonly #peer: PeerClient = createPeerClient();
  readonly #failing = new Set<string>();
  #role: RegistrationRole = { stateVersion: 0, permission: 6 };
  #round: Promise<{ address: string; reason: DrError }[]> | undefined;
  #again: Promise<{ address: string; reason: DrError }[]> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    options.tables.topics.onChange(() => {
      if (this.#isRunning) void this.registerNow();
    });
  }

  get nameservers(): string[] {
    return this.#options.config.namesrvAddr
      .split(';')
      .map((address) => address.trim())
      .filter((address) => address !== '');
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
    this.#timer = setInterval(() => void this.registerNow(), periodMs);
    await this.registerNow();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const wasRunning = this.#isRunning;
    this.#isRunning = false;
    await this.#round;
    if (wasRunning) await Promise.all(this.nameservers.map((address) => this.#unregister(address)));
    this.#peer.close();
  }

  /** A call during a round waits for a later round, which carries what is true now. */
  registerNow(): Promise<{ address: string; reason: DrError }[]> {
    if (this.#round === undefined) {
      this.#round = this.#registerAll().finally(() => {
        this.#round = undefined;
      });
      return this.#round;
    }
    this.#again ??= this.#round.then(() => {
      this.#again = undefined;
      return this.registerNow();
    });
    return this.#again;
  }

  async #registerAll(): Promise<{ address: string; reason: DrError }[]> {
    const outcomes = await Promise.all(this.nameservers.map((address) => this.#register(address)));
    return outcomes.filter((outcome) => outcome !== undefined);
  }

  async #register(address: string): Promise<{ address: string; reason: DrError } | undefined> {
    const { config } = this.#options;
    const body = Buffer.from(encodeRegisterBody(this.#registeredTable()));
    const addresses = this.#options.addresses();
    const ext = {
      brokerAddr: addresses.broker,
      brokerId: config.brokerId,
      brokerName: config.brokerName,
      clusterName: config.brokerClusterName,
      haServerAddr: addresses.ha,
      compressed: false,
      bodyCrc32: bodyCrc(body),
    };
    const request = { code: RequestCode.REGISTER_BROKER, ext, body };
    try {
      await this.#peer.call(address, request, config.registerBrokerTimeoutMills);
      this.#note(address, undefined);
      return undefined;
    } catch (reason) {
      const error = DrError.from(reason);
      this.#note(address, error);
      return { address, reason: error };
    }
  }

  /** Topics as they are registered: with the permission of the broker and of its role. */
  #registeredTable(): TopicConfigTable {
    const { tables, config } = this.#options;
    const mask = config.brokerPermission & this.#role.permission;
    const masked = (topic: TopicConfig): TopicConfig =>
      mask === 6 ? topic : { ...topic, perm: topic.perm & mask };
    const entries = tables.topics.all().map((topic) => [topic.topicName, masked(topic)] as const);
    return {
      dataVersion: tables.topics.version,
      topicConfigTable: Object.fromEntries(entries),
    };
  }

  /** One log line per change, not per round. */
  #note(address: string, error: DrError | undefined): void {
    if (error === undefined) {
      if (this.#failing.delete(address)) {
        log.info('registration.restored', 'name server takes registrations again', { address });
      }
      return;
    }
    if (this.#failing.has(address)) return;
    this.#failing.add(address);
    log.warn('registration.failed', 'name server did not take the registration; trying again', {
      address,
      code: error.code,
      error: error.message,
    });
  }

  async #unregister(address: string): Promise<void> {
    const { config } = this.#options;
    const ext = {
      brokerAddr: this.#options.addresses().broker,
      brokerId: config.brokerId,
      brokerName: config.brokerName,
      clusterName: config.brokerClusterName,
    };
    const request = { code: RequestCode.UNREGISTER_BROKER, ext };
    try {
      await this.#peer.call(address, request, UNREGISTER_TIMEOUT_MS);
    } catch (reason) {
      const error = DrError.from(reason).message;
      log.info('registration.left', 'name server was not told of the stop', { address, error });
    }
  }
}
