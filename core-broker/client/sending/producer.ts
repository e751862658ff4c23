// Sends messages to any RocketMQ cluster, one acknowledged send at a time per call.
// The one idea: a send ends as "stored, as durable as its status says" or as an error that tells
// whether the effect is unknown (TIMEOUT, NETWORK) or certainly nil (a refusal).
// Retries follow RocketMQ's sync send (send-rules.ts) inside one time budget. Ours: before a retry the
// route is asked again, so that a program moves with its region at the first refusal.
import { DrError, sleep } from '../../base/index.ts';
import type { MessageQueue, TopicRouteData } from '../../protocol/index.ts';
import {
  formatMessageProperties,
  Property,
  RequestCode,
  Topic,
  UniqKeyMaker,
} from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import { clientId, heartbeat, unregister } from '../membership.ts';
import type { OutgoingMessage, SendReceipt } from '../messages.ts';
import { createPeerClient, remoteError } from '../peer-client.ts';
import { RouteCache } from '../route-cache.ts';
import { masterOf, writableQueues } from '../route-view.ts';
import { chooseQueue, maySendAgain, STORED_CODES } from './send-rules.ts';

export interface ProducerOptions {
  nameservers: readonly string[];
  group: string;
  /** Budget of one send with all its tries, ms. */
  sendTimeoutMs?: number;
  /** Tries after the first. */
  retryTimes?: number;
  /** Route poll period, ms. */
  routePollMs?: number;
  /** One question to one name server, ms. */
  routeTimeoutMs?: number;
  heartbeatMs?: number;
}

const DEFAULT_QUEUES = 4;
/** A try with less time than this could only fail for lack of time, ms. */
const TRY_MS_MIN = 10;
/** Longest wait for a fresh route between two tries, ms. */
const ROUTE_WAIT_MS = 500;

const DEFAULTS = {
  sendTimeoutMs: 3_000,
  retryTimes: 2,
  routePollMs: 30_000,
  routeTimeoutMs: 3_000,
  heartbeatMs: 30_000,
};

/** One encoded message, the same for all tries. */
interface Encoded {
  body: Buffer;
  properties: string;
  msgId: string;
  bornTimestamp: number;
}

export class Producer {
  readonly routes: RouteCache;
  readonly #options: Required<ProducerOptions>;
  readonly #peer: PeerClient;
  readonly #id = clientId();
  readonly #brokers = new Set<string>();
  #turn = Math.floor(Math.random() * 1024);
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProducerOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#peer = createPeerClient();
    this.routes = new RouteCache(this.#peer, {
      nameservers: options.nameservers,
      refreshIntervalMs: this.#options.routePollMs,
      timeoutMs: this.#options.routeTimeoutMs,
    });
  }

  start(): void {
    this.routes.start();
    this.#timer ??= setInterval(() => this.#heartbeat(), this.#options.heartbeatMs);
  }

  /** Ends polls and connections; open sends fail with NETWORK. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.routes.stop();
    const goodbyes = [...this.#brokers].map((address) =>
      unregister(this.#peer, address, { clientId: this.#id, producerGroup: this.#options.group }),
    );
    await Promise.allSettled(goodbyes);
    this.#peer.close();
  }

  /**
   * Sends one message and waits for the broker's answer.
   * @throws DrError TIMEOUT or NETWORK (effect unknown), NO_ROUTE, REMOTE (refused, context.code)
   */
  async send(message: OutgoingMessage): Promise<SendReceipt> {
    const encoded = encode(message);
    const deadline = performance.now() + this.#options.sendTimeoutMs;
    let failure = new DrError('TIMEOUT', `no time to send to ${message.topic}`);
    let avoid: string | undefined;
    for (let attempt = 1; attempt <= this.#options.retryTimes + 1; attempt++) {
      const leftMs = deadline - performance.now();
      if (leftMs < TRY_MS_MIN) break;
      let queue: MessageQueue | undefined;
      try {
        const route = await this.#route(message.topic);
        queue = this.#choose(message, route, avoid);
        return await this.#sendTo(queue, route, encoded, { attempt, deadline });
      } catch (reason) {
        failure = DrError.from(reason);
        if (!maySendAgain(failure)) throw failure;
        avoid = queue?.brokerName;
        if (attempt <= this.#options.retryTimes) await this.#renewRoute(message.topic, deadline);
      }
    }
    throw failure;
  }

  #choose(message: OutgoingMessage, route: TopicRouteData, avoid: string | undefined) {
    const queues = writableQueues(message.topic, route);
    const fixed = message.queue;
    const queue = fixed
      ? queues.find(
          (each) =>
            each.queueId === fixed.queueId &&
            (fixed.brokerName === undefined || each.brokerName === fixed.brokerName),
        )
      : chooseQueue(queues, this.#turn++, avoid);
    if (queue) return queue;
    throw new DrError('NO_ROUTE', `topic ${message.topic} has no writable queue`, {
      context: { topic: message.topic, queueId: fixed?.queueId },
    });
  }

  async #sendTo(
    queue: MessageQueue,
    route: TopicRouteData,
    encoded: Encoded,
    time: { attempt: number; deadline: number },
  ): Promise<SendReceipt> {
    const address = masterOf(route, queue.brokerName) ?? '';
    this.#meet(address);
    const request = {
      code: RequestCode.SEND_MESSAGE_V2,
      ext: this.#header(queue, encoded),
      body: encoded.body,
    };
    const leftMs = Math.max(1, time.deadline - performance.now());
    const response = await this.#peer.invoke(address, request, leftMs);
    const status = STORED_CODES.get(response.code);
    if (status === undefined) throw remoteError(address, request.code, response);
    return {
      status,
      queue: { ...queue, queueId: Number(response.ext['queueId'] ?? queue.queueId) },
      queueOffset: Number(response.ext['queueOffset']),
      msgId: encoded.msgId,
      offsetMsgId: response.ext['msgId'] ?? '',
      address,
      attempts: time.attempt,
    };
  }

  /** SendMessageRequestHeaderV2: the short names of the send header. */
  #header(queue: MessageQueue, encoded: Encoded) {
    return {
      a: this.#options.group,
      b: queue.topic,
      c: Topic.AUTO_CREATE_KEY,
      d: DEFAULT_QUEUES,
      e: queue.queueId,
      f: 0,
      g: encoded.bornTimestamp,
      h: 0,
      i: encoded.properties,
      j: 0,
      k: false,
      m: false,
      n: queue.brokerName,
    };
  }

  /** Of a topic that does not exist yet the route of the one it is created by. */
  async #route(
    topic: string,
    ask = (name: string) => this.routes.route(name),
  ): Promise<TopicRouteData> {
    try {
      return await ask(topic);
    } catch (reason) {
      if (!DrError.is(reason, 'NO_ROUTE')) throw reason;
      const fallback = await ask(Topic.AUTO_CREATE_KEY);
      return { ...fallback, queueDatas: fallback.queueDatas.map(capQueues) };
    }
  }

  /** Waits a little for a newer route; an old one is no reason to give up the try. */
  async #renewRoute(topic: string, deadline: number): Promise<void> {
    const waitMs = Math.min(ROUTE_WAIT_MS, deadline - performance.now());
    if (waitMs <= 0) return;
    const asked = this.#route(topic, (name) => this.routes.refresh(name)).then(
      () => undefined,
      (reason: unknown) => DrError.from(reason),
    );
    await Promise.race([asked, sleep(waitMs)]);
  }

  /** First contact with a broker: tell it who we are, as it answers questions about producers. */
  #meet(address: string): void {
    if (this.#brokers.has(address)) return;
    this.#brokers.add(address);
    this.#greet(address);
  }

  #heartbeat(): void {
    for (const address of this.#brokers) this.#greet(address);
  }

  #greet(address: string): void {
    const body = { clientID: this.#id, producerGroups: [this.#options.group], consumers: [] };
    // A broker that does not answer now is forgotten; the next send to it greets it again.
    heartbeat(this.#peer, address, body).catch(() => this.#brokers.delete(address));
  }
}

function capQueues<T extends { readQueueNums: number; writeQueueNums: number }>(data: T): T {
  const count = Math.min(DEFAULT_QUEUES, data.readQueueNums);
  return { ...data, readQueueNums: count, writeQueueNums: count };
}

const uniqKeys = new UniqKeyMaker({
  ip: Buffer.from([127, 0, 0, 1]),
  pid: process.pid,
  salt: Math.floor(Math.random() * 0x7fffffff),
  nowMs: Date.now(),
});

function encode(message: OutgoingMessage): Encoded {
  const body = typeof message.body === 'string' ? Buffer.from(message.body) : message.body;
  const bornTimestamp = Date.now();
  const msgId = message.properties?.[Property.UNIQ_KEY] ?? uniqKeys.make(bornTimestamp);
  const properties = new Map(Object.entries(message.properties ?? {}));
  properties.set(Property.UNIQ_KEY, msgId).set(Property.WAIT, 'true');
  if (message.tags !== undefined) properties.set(Property.TAGS, message.tags);
  if (message.keys !== undefined) properties.set(Property.KEYS, message.keys);
  if (message.delayLevel !== undefined) properties.set(Property.DELAY, String(message.delayLevel));
  return {
    body: Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    properties: formatMessageProperties(properties),
    msgId,
    bornTimestamp,
  };
}
