// Reads queues by hand: no group membership, no rebalance. For checkers, tools and restores, which must
// see every message and decide themselves where they stand.
import { DrError } from '../../base/index.ts';
import type { MessageQueue } from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import { createPeerClient } from '../peer-client.ts';
import { offsetByTime, queueBound } from '../queue-bounds.ts';
import { RouteCache } from '../route-cache.ts';
import { anyAddress, masterOf, readableQueues } from '../route-view.ts';
import { commitOffset, readOffset } from './offsets.ts';
import { type PullAnswer, pull } from './pull.ts';
import { compareQueues, queueKey } from './rebalance.ts';
import { subscribe } from './subscription.ts';

export interface PullConsumerOptions {
  nameservers: readonly string[];
  group: string;
  routePollMs?: number;
}

export class PullConsumer {
  readonly #peer: PeerClient;
  readonly #routes: RouteCache;
  readonly #group: string;

  constructor(options: PullConsumerOptions) {
    this.#peer = createPeerClient();
    this.#group = options.group;
    this.#routes = new RouteCache(this.#peer, {
      nameservers: options.nameservers,
      refreshIntervalMs: options.routePollMs ?? 30_000,
    });
  }

  start(): void {
    this.#routes.start();
  }

  stop(): void {
    this.#routes.stop();
    this.#peer.close();
  }

  /** Readable queues of a topic, in RocketMQ's order. */
  async queues(topic: string): Promise<MessageQueue[]> {
    return readableQueues(topic, await this.#routes.refresh(topic)).sort(compareQueues);
  }

  /**
   * @param tags tag expression; the caller checks the real tag (the broker filters by hash)
   * @param suspendMs hold on the broker when nothing is there; 0 = answer at once
   */
  async pull(
    queue: MessageQueue,
    offset: number,
    { tags = '*', suspendMs = 0, messagesMax = 32 } = {},
  ): Promise<PullAnswer> {
    const subscription = subscribe(queue.topic, tags);
    const request = { group: this.#group, queue, offset, subscription, suspendMs, messagesMax };
    return pull(this.#peer, await this.#address(queue), request);
  }

  async bound(queue: MessageQueue, which: 'min' | 'max'): Promise<number> {
    return queueBound(this.#peer, await this.#address(queue), queue, which);
  }

  async offsetByTime(queue: MessageQueue, ms: number): Promise<number> {
    return offsetByTime(this.#peer, await this.#address(queue), queue, ms);
  }

  /** The group's stored offset, undefined when it never committed. */
  async offset(queue: MessageQueue): Promise<number | undefined> {
    return readOffset(this.#peer, await this.#address(queue), this.#group, queue);
  }

  async commit(queue: MessageQueue, offset: number): Promise<void> {
    const place = { group: this.#group, queue, offset };
    return commitOffset(this.#peer, await this.#address(queue), place);
  }

  async #address(queue: MessageQueue): Promise<string> {
    const route = await this.#routes.route(queue.topic);
    const address = masterOf(route, queue.brokerName) ?? anyAddress(route, queue.brokerName);
    if (address !== undefined) return address;
    throw new DrError('NO_ROUTE', `no broker serves ${queueKey(queue)}`);
  }
}
