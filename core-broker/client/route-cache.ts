// Topic routes from a list of name servers, refreshed on a clock and on demand.
// The one idea: a cached route is never dropped because a name server failed or forgot the topic; the
// last good answer stays until a better one comes, as RocketMQ clients do.
// Server choice is sticky: the one that answered last is asked first, the next one when it fails.
import { DrError } from '../base/index.ts';
import {
  decodeTopicRoute,
  type RemotingCommand,
  RequestCode,
  type RequestInit,
  type TopicRouteData,
} from '../protocol/index.ts';
import type { PeerClient } from './door.ts';
import { remoteCode } from './peer-client.ts';

export interface RouteCacheOptions {
  /** host:port of every name server. */
  nameservers: readonly string[];
  /** Poll period of all used topics, ms. */
  refreshIntervalMs?: number;
  /** One question to one name server, ms. */
  timeoutMs?: number;
}

const TOPIC_NOT_EXIST = 17;

export class RouteCache {
  readonly #peer: PeerClient;
  readonly #options: Required<RouteCacheOptions>;
  readonly #routes = new Map<string, { text: string; data: TopicRouteData }>();
  readonly #asking = new Map<string, Promise<TopicRouteData>>();
  readonly #listeners = new Set<(topic: string) => void>();
  readonly #topics = new Set<string>();
  #sticky = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(peer: PeerClient, options: RouteCacheOptions) {
    if (options.nameservers.length === 0) throw new DrError('USAGE', 'no name server given');
    this.#peer = peer;
    this.#options = { refreshIntervalMs: 30_000, timeoutMs: 3_000, ...options };
  }

  /** Starts the poll; every topic ever asked for is kept fresh. */
  start(): void {
    this.#timer ??= setInterval(() => this.#poll(), this.#options.refreshIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#listeners.clear();
  }

  /** Called with the topic after its route changed. */
  onChange(listener: (topic: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Last known route without asking. */
  known(topic: string): TopicRouteData | undefined {
    return this.#routes.get(topic)?.data;
  }

  /** The cached route, or the name servers' answer. @throws DrError NO_ROUTE, NETWORK, TIMEOUT */
  async route(topic: string): Promise<TopicRouteData> {
    return this.known(topic) ?? this.refresh(topic);
  }

  /** Asks now; calls for one topic at the same time share one question. */
  refresh(topic: string): Promise<TopicRouteData> {
    this.#topics.add(topic);
    const running = this.#asking.get(topic);
    if (running !== undefined) return running;
    const asked = this.#fetch(topic).finally(() => this.#asking.delete(topic));
    this.#asking.set(topic, asked);
    return asked;
  }

  /** Calls any name server that answers. @throws the last DrError */
  async ask<T>(question: (address: string, timeoutMs: number) => Promise<T>): Promise<T> {
    const { nameservers, timeoutMs } = this.#options;
    let failure = new DrError('UNREACHABLE', 'no name server answered');
    for (let tried = 0; tried < nameservers.length; tried++) {
      const address = nameservers[this.#sticky % nameservers.length] ?? '';
      try {
        return await question(address, timeoutMs);
      } catch (reason) {
        failure = DrError.from(reason);
        if (!DrError.is(failure, 'NETWORK', 'TIMEOUT', 'PROTOCOL', 'UNREACHABLE')) throw failure;
        this.#sticky++;
      }
    }
    throw failure;
  }

  #poll(): void {
    for (const topic of this.#topics) {
      // Expected: a name server is away or lost the topic; the last good route stays in use.
      this.refresh(topic).catch((reason: unknown) => DrError.from(reason));
    }
  }

  async #fetch(topic: string): Promise<TopicRouteData> {
    const request = {
      code: RequestCode.GET_ROUTEINFO_BY_TOPIC,
      ext: { topic, acceptStandardJsonOnly: true },
    };
    const isUnknown = (reason: unknown) => remoteCode(reason) === TOPIC_NOT_EXIST;
    try {
      const response = await this.ask((address, ms) => this.#peer.call(address, request, ms));
      return this.#learn(topic, response);
    } catch (reason) {
      if (!isUnknown(reason)) throw reason;
      const known = this.known(topic);
      if (known) return known;
      const elsewhere = await this.#askOthers(request);
      if (elsewhere) return this.#learn(topic, elsewhere);
      throw new DrError('NO_ROUTE', `topic ${topic} has no route`, { cause: reason });
    }
  }

  /** Why: one name server alone may have been restarted and not know its brokers yet. */
  async #askOthers(request: RequestInit): Promise<RemotingCommand | undefined> {
    const { nameservers, timeoutMs } = this.#options;
    const asked = this.#sticky % nameservers.length;
    const others = nameservers.filter((_, at) => at !== asked);
    const calls = others.map((address) => this.#peer.call(address, request, timeoutMs));
    const answers = await Promise.allSettled(calls);
    return answers.find((answer) => answer.status === 'fulfilled')?.value;
  }

  #learn(topic: string, response: RemotingCommand): TopicRouteData {
    const text = response.body?.toString('utf8') ?? '{}';
    const old = this.#routes.get(topic);
    if (old?.text === text) return old.data;
    const data = decodeTopicRoute(text);
    this.#routes.set(topic, { text, data });
    for (const listener of this.#listeners) listener(topic);
    return data;
  }
}
