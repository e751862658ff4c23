// QUERY_ASSIGNMENT (400): clients with clientRebalance=false ask the broker which queues are theirs.
// The queues come from the name servers, because a topic may live on brokers beside this one; without a
// name server from our own table. Mode is always PULL.
// Invariant: for equal members the shares are disjoint and complete, as when clients compute alone.
// Source: QueryAssignmentProcessor, AllocateMessageQueueAveragely and -ByCircle, behaviour only.
import { DrError } from '../../base/index.ts';
import {
  allocateAverage,
  compareQueues,
  createPeerClient,
  RouteCache,
  readableQueues,
} from '../../client/index.ts';
import {
  type MessageQueue,
  Perm,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import { okJson } from '../response-codes.ts';

const ROUTE_MS = 3_000;
/** How long a route is taken as fresh. */
const FRESH_MS = 30_000;

type Allocate = (client: string, members: string[], queues: MessageQueue[]) => MessageQueue[];

const STRATEGIES: Readonly<Record<string, Allocate>> = {
  AVG: allocateAverage,
  AVG_BY_CIRCLE: allocateByCircle,
};

export function addAssignmentHandler(context: HandlerContext): void {
  const routes = new Routes(context);
  context.parts.requests.on(RequestCode.QUERY_ASSIGNMENT, (request) =>
    assignment(context, routes, request),
  );
}

async function assignment(
  context: HandlerContext,
  routes: Routes,
  request: RemotingCommand,
): Promise<ResponseInit> {
  const { topic, consumerGroup, clientId, messageModel, strategyName } = readQuestion(request);
  const queues = await routes.queuesOf(topic);
  const answer = (own: MessageQueue[] | undefined): ResponseInit =>
    okJson({
      messageQueueAssignments: own?.map((messageQueue) => ({ messageQueue, mode: 'PULL' })),
    });
  // Without an assignment at all the client keeps what it has.
  if (queues === undefined) return answer(undefined);
  if (messageModel === 'BROADCASTING' || !context.parts.config.serverLoadBalancerEnable) {
    return answer(queues);
  }
  const members = context.consumers.clientIds(consumerGroup);
  const allocate = STRATEGIES[strategyName];
  if (members.length === 0 || allocate === undefined) return answer(undefined);
  return answer(allocate(clientId, members, queues));
}

function readQuestion(request: RemotingCommand) {
  const body = parseJsonObject(request.body);
  const text = (name: string): string => (typeof body[name] === 'string' ? body[name] : '');
  return {
    topic: text('topic'),
    consumerGroup: text('consumerGroup'),
    clientId: text('clientId'),
    messageModel: text('messageModel'),
    strategyName: text('strategyName'),
  };
}

/** Every member takes each n-th queue. */
function allocateByCircle(client: string, members: string[], queues: MessageQueue[]) {
  const ids = [...new Set(members)].sort();
  const index = ids.indexOf(client);
  return index < 0
    ? []
    : [...queues].sort(compareQueues).filter((_, at) => at % ids.length === index);
}

class Routes {
  readonly #context: HandlerContext;
  readonly #known = new Map<string, { untilMs: number; queues: MessageQueue[] }>();

  constructor(context: HandlerContext) {
    this.#context = context;
  }

  /** Readable queues of the topic on all its brokers; undefined when nobody knows it. */
  async queuesOf(topic: string): Promise<MessageQueue[] | undefined> {
    const { config, tables } = this.#context.parts;
    const own = tables.topics.find(topic)?.config;
    const local = own && (own.perm & Perm.READ) !== 0 ? own.readQueueNums : 0;
    const { brokerName } = config;
    const here = Array.from({ length: local }, (_, queueId) => ({ brokerName, queueId, topic }));
    if (config.namesrvAddr === '') return own && here;
    const nowMs = this.#context.parts.clock.monotonicMs();
    const known = this.#known.get(topic);
    if (known !== undefined && nowMs < known.untilMs) return known.queues;
    const queues = (await ask(topic, config.namesrvAddr.split(';'))) ?? known?.queues;
    if (queues !== undefined) this.#known.set(topic, { untilMs: nowMs + FRESH_MS, queues });
    return queues ?? (own && here);
  }
}

/** What the name servers say; undefined when none knows the topic or answers. */
async function ask(topic: string, nameservers: string[]): Promise<MessageQueue[] | undefined> {
  const peer = createPeerClient();
  try {
    const route = await new RouteCache(peer, { nameservers, timeoutMs: ROUTE_MS }).route(topic);
    return readableQueues(topic, route).map(({ brokerName, queueId }) => ({
      brokerName,
      queueId,
      topic,
    }));
  } catch (reason) {
    if (DrError.is(reason, 'NO_ROUTE', 'NETWORK', 'TIMEOUT', 'UNREACHABLE')) return undefined;
    throw reason;
  } finally {
    peer.close();
  }
}
