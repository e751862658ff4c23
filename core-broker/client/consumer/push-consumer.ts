// A member of a consumer group: subscribes, shares the queues with the other members, consumes.
// The one idea: everything is derived again on each rebalance (routes, members, shares) and workers are
// started and stopped to match; a missed notification therefore costs time, never messages.
// Order on losing a queue: stop its worker -> commit its offset -> unlock -> the next owner starts.
import { DrError } from '../../base/index.ts';
import type { MessageQueue, SubscriptionData } from '../../protocol/index.ts';
import { isRetryTopic, RequestCode, retryTopic } from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import {
  clientId,
  groupMembers,
  heartbeat,
  lockQueues,
  unlockQueues,
  unregister,
} from '../membership.ts';
import type { ReceivedMessage } from '../messages.ts';
import { createPeerClient } from '../peer-client.ts';
import { queueBound } from '../queue-bounds.ts';
import { RouteCache } from '../route-cache.ts';
import { anyAddress, brokerAddresses, masterOf, readableQueues } from '../route-view.ts';
import { localOffsets, type OffsetStore, remoteOffsets } from './offsets.ts';
import { QueueWorker, type WorkerPorts } from './queue-worker.ts';
import { allocateAverage, compareQueues, queueKey } from './rebalance.ts';
import { subscribe } from './subscription.ts';

export interface PushConsumerOptions {
  nameservers: readonly string[];
  group: string;
  /** Topic -> tag expression (`*` = all). */
  topics: Record<string, string>;
  /** Handles one message; false or a throw = again later. */
  onMessage(message: ReceivedMessage): Promise<boolean | undefined> | boolean | undefined;
  mode?: 'concurrent' | 'orderly';
  model?: 'CLUSTERING' | 'BROADCASTING';
  /** Where a group that never committed begins. */
  from?: 'first' | 'last';
  maxReconsumeTimes?: number;
  commitMs?: number;
  rebalanceMs?: number;
  heartbeatMs?: number;
  routePollMs?: number;
  routeTimeoutMs?: number;
  /** Hold of a pull on the broker, ms. */
  suspendMs?: number;
  messagesMax?: number;
  concurrency?: number;
  /** Pause before a failed message or a failed broker is tried again, ms. */
  retryPauseMs?: number;
  /** Broadcast only: file that keeps the offsets over restarts. */
  offsetsFile?: string;
}

const DEFAULTS = {
  mode: 'concurrent',
  model: 'CLUSTERING',
  from: 'last',
  maxReconsumeTimes: 16,
  commitMs: 5_000,
  rebalanceMs: 20_000,
  heartbeatMs: 30_000,
  routePollMs: 30_000,
  routeTimeoutMs: 3_000,
  suspendMs: 15_000,
  messagesMax: 32,
  concurrency: 16,
  retryPauseMs: 1_000,
} as const;

type Options = Required<Omit<PushConsumerOptions, 'offsetsFile'>> & PushConsumerOptions;

/** Cadence of the clock that looks what is due, ms. */
const TICK_MS = 500;
/** A queue lock is asked for again after this, ms (the broker keeps it 60 s, RocketMQ renews at 20 s). */
const LOCK_RENEW_MS = 20_000;
/** While a share could not be computed, try again after this, ms. */
const UNBALANCED_RETRY_MS = 1_000;
const SEND_BACK_TIMEOUT_MS = 3_000;

export class PushConsumer {
  readonly #options: Options;
  readonly #peer: PeerClient;
  readonly #routes: RouteCache;
  readonly #offsets: OffsetStore;
  readonly #subscriptions = new Map<string, SubscriptionData>();
  readonly #workers = new Map<string, QueueWorker>();
  readonly #locked = new Map<string, number>();
  readonly #id = clientId();
  #due = { heartbeat: 0, rebalance: 0, commit: 0 };
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #lastTrouble: DrError | undefined;

  constructor(options: PushConsumerOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#peer = createPeerClient();
    this.#routes = new RouteCache(this.#peer, {
      nameservers: options.nameservers,
      refreshIntervalMs: this.#options.routePollMs,
      timeoutMs: this.#options.routeTimeoutMs,
    });
    const { group, offsetsFile } = this.#options;
    this.#offsets = this.#isBroadcast
      ? localOffsets(offsetsFile)
      : remoteOffsets(this.#peer, group, (queue) => this.#locate(queue));
    for (const [topic, tags] of Object.entries(options.topics)) {
      this.#subscriptions.set(topic, subscribe(topic, tags));
    }
    const retry = retryTopic(group);
    if (!this.#isBroadcast) this.#subscriptions.set(retry, subscribe(retry));
  }

  get #isBroadcast(): boolean {
    return this.#options.model === 'BROADCASTING';
  }

  /** Queues this member consumes now. */
  assignment(): MessageQueue[] {
    return [...this.#workers.values()].map((worker) => worker.queue).sort(compareQueues);
  }

  /** The last thing that went wrong and is being retried. */
  get lastTrouble(): DrError | undefined {
    return this.#lastTrouble;
  }

  start(): void {
    this.#routes.onChange(() => this.#onRouteChange());
    this.#peer.onRequest((_address, request) => {
      if (request.code === RequestCode.NOTIFY_CONSUMER_IDS_CHANGED) this.#due.rebalance = 0;
      return undefined;
    });
    this.#routes.start();
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  /** Finishes the messages in hand, commits, leaves the group, closes. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
    await this.#release([...this.#workers.values()]);
    this.#routes.stop();
    const goodbyes = this.#brokers().map((address) =>
      unregister(this.#peer, address, { clientId: this.#id, consumerGroup: this.#options.group }),
    );
    await Promise.allSettled(goodbyes);
    this.#peer.close();
  }

  /** Runs what is due; never two runs at once. */
  #tick(): void {
    if (this.#ticking !== undefined) return;
    this.#ticking = this.#work()
      .catch((reason: unknown) => this.#onTrouble(DrError.from(reason)))
      .finally(() => {
        this.#ticking = undefined;
      });
  }

  async #work(): Promise<void> {
    const now = performance.now();
    const { heartbeatMs, rebalanceMs, commitMs } = this.#options;
    if (now >= this.#due.heartbeat) {
      this.#due.heartbeat = now + heartbeatMs;
      await this.#heartbeat();
    }
    if (now >= this.#due.rebalance) {
      this.#due.rebalance = now + rebalanceMs;
      const isBalanced = await this.#rebalance();
      if (!isBalanced)
        this.#due.rebalance = Math.min(this.#due.rebalance, now + UNBALANCED_RETRY_MS);
    }
    if (now >= this.#due.commit) {
      this.#due.commit = now + commitMs;
      await this.#offsets.flush();
    }
  }

  #onRouteChange(): void {
    for (const worker of this.#workers.values()) worker.readdress();
    this.#locked.clear();
    this.#due.heartbeat = 0;
    this.#due.rebalance = 0;
    setImmediate(() => this.#tick());
  }

  #onTrouble(reason: DrError): void {
    this.#lastTrouble = reason;
    // The connection is new when the broker comes back: it must learn who we are again.
    if (DrError.is(reason, 'NETWORK', 'TIMEOUT')) this.#soon('heartbeat');
  }

  #soon(what: 'heartbeat' | 'rebalance'): void {
    this.#due[what] = Math.min(this.#due[what], performance.now() + UNBALANCED_RETRY_MS);
  }

  #brokers(): string[] {
    const routes = [...this.#subscriptions.keys()].map((topic) => this.#routes.known(topic));
    return [...new Set(routes.flatMap((route) => (route ? brokerAddresses(route) : [])))];
  }

  async #heartbeat(): Promise<void> {
    const asked = [...this.#subscriptions.keys()].map((topic) => this.#routes.route(topic));
    await Promise.allSettled(asked);
    const presence = {
      clientID: this.#id,
      producerGroups: [],
      consumers: [
        {
          groupName: this.#options.group,
          consumeType: 'CONSUME_PASSIVELY' as const,
          messageModel: this.#options.model,
          consumeFromWhere:
            this.#options.from === 'last'
              ? ('CONSUME_FROM_LAST_OFFSET' as const)
              : ('CONSUME_FROM_FIRST_OFFSET' as const),
          subscriptionDataSet: [...this.#subscriptions.values()],
          unitMode: false,
        },
      ],
    };
    const beats = this.#brokers().map((address) => heartbeat(this.#peer, address, presence));
    const failed = (await Promise.allSettled(beats)).some((beat) => beat.status === 'rejected');
    if (failed || beats.length === 0) this.#soon('heartbeat');
  }

  /** True when every topic with a route has its share. */
  async #rebalance(): Promise<boolean> {
    let isBalanced = true;
    for (const topic of this.#subscriptions.keys()) {
      try {
        await this.#rebalanceTopic(topic);
      } catch (reason) {
        // A retry topic exists only after the first heartbeat; others may be created later.
        this.#lastTrouble = DrError.from(reason);
        isBalanced = false;
      }
    }
    return isBalanced;
  }

  async #rebalanceTopic(topic: string): Promise<void> {
    const route = await this.#routes.route(topic);
    const queues = readableQueues(topic, route);
    const share = this.#isBroadcast ? queues : await this.#share(topic, queues);
    const wanted = new Map(share.map((queue) => [queueKey(queue), queue]));
    const held = [...this.#workers.values()].filter((worker) => worker.queue.topic === topic);
    await this.#release(held.filter((worker) => !wanted.has(queueKey(worker.queue))));
    for (const [key, queue] of wanted) if (!this.#workers.has(key)) this.#take(queue);
  }

  async #share(topic: string, queues: MessageQueue[]): Promise<MessageQueue[]> {
    const route = await this.#routes.route(topic);
    const addresses = brokerAddresses(route);
    const address = addresses[Math.floor(Math.random() * addresses.length)];
    if (address === undefined) throw new DrError('NO_ROUTE', `${topic} has no broker`);
    const members = await groupMembers(this.#peer, address, this.#options.group);
    if (!members.includes(this.#id)) {
      this.#soon('heartbeat');
      throw new DrError('NOT_MASTER', `${address} does not know this consumer yet`);
    }
    return allocateAverage(this.#id, members, queues);
  }

  #take(queue: MessageQueue): void {
    const subscription = this.#subscriptions.get(queue.topic) ?? subscribe(queue.topic);
    const worker = new QueueWorker(
      queue,
      subscription,
      { ...this.#options, isOrderly: this.#options.mode === 'orderly' },
      this.#ports(),
    );
    this.#workers.set(queueKey(queue), worker);
    worker.start();
  }

  /** Stops workers, commits what they did, gives their locks back. */
  async #release(workers: QueueWorker[]): Promise<void> {
    if (workers.length === 0) return;
    await Promise.all(workers.map((worker) => worker.stop()));
    await this.#offsets.flush();
    for (const { queue } of workers) {
      const key = queueKey(queue);
      this.#workers.delete(key);
      this.#offsets.forget(queue);
      const address = this.#locate(queue);
      if (this.#locked.delete(key) && address !== undefined) {
        // A lock that cannot be given back expires on the broker.
        await unlockQueues(this.#peer, address, this.#claim(queue)).catch(DrError.from);
      }
    }
  }

  #ports(): WorkerPorts {
    return {
      peer: this.#peer,
      offsets: this.#offsets,
      locate: (queue) => this.#locate(queue),
      firstOffset: (queue) => this.#firstOffset(queue),
      lock: (queue) => this.#lock(queue),
      handle: (message) => this.#handle(message),
      sendBack: (message) => this.#sendBack(message),
      onTrouble: (reason) => this.#onTrouble(reason),
    };
  }

  #locate(queue: MessageQueue): string | undefined {
    const route = this.#routes.known(queue.topic);
    if (route === undefined) return undefined;
    return masterOf(route, queue.brokerName) ?? anyAddress(route, queue.brokerName);
  }

  async #firstOffset(queue: MessageQueue): Promise<number> {
    if (isRetryTopic(queue.topic) || this.#options.from === 'first') return 0;
    const address = this.#locate(queue);
    if (address === undefined) throw new DrError('NO_ROUTE', `no broker for ${queueKey(queue)}`);
    return queueBound(this.#peer, address, queue, 'max');
  }

  async #handle(message: ReceivedMessage): Promise<boolean> {
    const origin = message.properties['RETRY_TOPIC'];
    const shown =
      isRetryTopic(message.topic) && origin !== undefined ? { ...message, topic: origin } : message;
    try {
      return (await this.#options.onMessage(shown)) !== false;
    } catch (reason) {
      // A program's error means "again later", as in every RocketMQ client.
      this.#lastTrouble = DrError.from(reason);
      return false;
    }
  }

  #claim(queue: MessageQueue) {
    return { clientId: this.#id, consumerGroup: this.#options.group, queues: [queue] };
  }

  async #lock(queue: MessageQueue): Promise<boolean> {
    if (this.#options.mode !== 'orderly' || this.#isBroadcast) return true;
    const key = queueKey(queue);
    const renewAt = this.#locked.get(key) ?? 0;
    if (performance.now() < renewAt) return true;
    const address = this.#locate(queue);
    if (address === undefined) return false;
    const granted = await lockQueues(this.#peer, address, this.#claim(queue));
    const isOurs = granted.some((each) => queueKey(each) === key);
    if (isOurs) this.#locked.set(key, performance.now() + LOCK_RENEW_MS);
    else this.#locked.delete(key);
    return isOurs;
  }

  async #sendBack(message: ReceivedMessage): Promise<void> {
    // A broadcast message has no group to come back to: it is handled again here.
    if (this.#isBroadcast) throw new DrError('USAGE', 'broadcast messages are not sent back');
    const address = this.#locate(message);
    if (address === undefined) throw new DrError('NO_ROUTE', `no broker ${message.brokerName}`);
    const ext = {
      offset: message.physicalOffset,
      group: this.#options.group,
      delayLevel: 0,
      originMsgId: message.msgId,
      originTopic: message.topic,
      unitMode: false,
      maxReconsumeTimes: this.#options.maxReconsumeTimes,
      bname: message.brokerName,
    };
    const request = { code: RequestCode.CONSUMER_SEND_MSG_BACK, ext };
    await this.#peer.call(address, request, SEND_BACK_TIMEOUT_MS);
  }
}
