// Which region answers what. Clients see one region at a time: every answer is made wholly from the
// active one (from both, merged, in dual mode), and an answer that was under way when a flip came is
// made again. Registrations are refused; changes go to all name servers of the active region, keys and
// values (order configurations among them) to those of every region: no link carries them over.
// Invariant: after a flip is in force no answer leaves with a body of the region that was active before,
// nor with a body of the new region that was asked for before the flip. Source: ours.
import type { ActiveRegionRegister, Clock } from '../../base/index.ts';
import { counter, DrError } from '../../base/index.ts';
import {
  type RemotingCommand,
  RequestCode,
  type RequestInit,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import { unknownTopic } from '../regional/handlers.ts';
import { field } from '../regional/registration.ts';
import { clusterBody, type Gateways, routeBody, topicListBody } from './answers.ts';
import { type Answer, CLUSTER_KEY, type RegionView, TOPICS_KEY } from './region-view.ts';

export interface GlobalRouterOptions {
  register: ActiveRegionRegister;
  /** Region -> what it says. */
  views: ReadonlyMap<string, RegionView>;
  gateways: Gateways;
  isDual: boolean;
  clock: Clock;
}

const answered = counter({
  name: 'dr_global_answers_total',
  help: 'answers of the global name server by outcome',
  labelNames: ['outcome'],
});

/** Requests of brokers: they belong to their region. */
const REGISTRATION_CODES: ReadonlySet<number> = new Set<number>([
  RequestCode.REGISTER_BROKER,
  RequestCode.UNREGISTER_BROKER,
  RequestCode.BROKER_HEARTBEAT,
  RequestCode.QUERY_DATA_VERSION,
  RequestCode.REGISTER_TOPIC_IN_NAMESRV,
  RequestCode.GET_BROKER_MEMBER_GROUP,
]);
const READ_CODES: ReadonlySet<number> = new Set<number>([
  RequestCode.GET_KV_CONFIG,
  RequestCode.GET_KVLIST_BY_NAMESPACE,
  RequestCode.GET_TOPICS_BY_CLUSTER,
  RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS,
  RequestCode.GET_UNIT_TOPIC_LIST,
  RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST,
  RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST,
  RequestCode.GET_NAMESRV_CONFIG,
]);
const WRITE_CODES: ReadonlySet<number> = new Set<number>([
  RequestCode.WIPE_WRITE_PERM_OF_BROKER,
  RequestCode.ADD_WRITE_PERM_OF_BROKER,
  RequestCode.DELETE_TOPIC_IN_NAMESRV,
  RequestCode.UPDATE_NAMESRV_CONFIG,
]);

/** Neither registrations nor links bring these to the other region. */
const EVERYWHERE_CODES: ReadonlySet<number> = new Set<number>([
  RequestCode.PUT_KV_CONFIG,
  RequestCode.DELETE_KV_CONFIG,
]);

export class GlobalRouter {
  readonly #options: GlobalRouterOptions;
  #flippedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: GlobalRouterOptions) {
    this.#options = options;
  }

  /** Every code this router serves beside the flips. */
  static get codes(): number[] {
    return [
      RequestCode.GET_ROUTEINFO_BY_TOPIC,
      RequestCode.GET_BROKER_CLUSTER_INFO,
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      ...REGISTRATION_CODES,
      ...READ_CODES,
      ...WRITE_CODES,
      ...EVERYWHERE_CODES,
    ];
  }

  /** Called once the register holds another region: nothing asked before counts any more. */
  flipped(): void {
    this.#flippedAtMs = this.#options.clock.monotonicMs();
    // Why: the fresh routes should be there before the first client asks.
    const view = this.#options.views.get(this.#options.register.current.region);
    void view?.poll();
  }

  /** @throws DrError PROTOCOL, UNREACHABLE, NETWORK, TIMEOUT: answered with code 1 */
  async handle(request: RemotingCommand): Promise<ResponseInit> {
    const { code } = request;
    if (REGISTRATION_CODES.has(code)) return this.#refuseRegistration();
    if (READ_CODES.has(code)) return this.#stable((region) => this.#forward(region, request));
    if (WRITE_CODES.has(code)) return this.#tellRegion(request);
    if (EVERYWHERE_CODES.has(code)) return this.#tellEverybody(request);
    if (code === RequestCode.GET_BROKER_CLUSTER_INFO) {
      return this.#kept(CLUSTER_KEY, (bodies) => clusterBody(bodies, this.#options.gateways));
    }
    if (code === RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER) {
      return this.#kept(TOPICS_KEY, topicListBody);
    }
    const topic = field(request, 'topic');
    return this.#kept(topic, (bodies) => routeBody(bodies, this.#options.gateways, request.ext));
  }

  #refuseRegistration(): ResponseInit {
    const { register, views } = this.#options;
    const regions = [...views.keys()].join(', ');
    return {
      code: ResponseCode.NO_PERMISSION,
      remark:
        'this is a global name server: it takes no registrations. Set namesrvAddr of a broker to the ' +
        `name servers of its own region (regions: ${regions}; active: ${register.current.region})`,
    };
  }

  /** Runs `make` for the active region, again when a flip came in between. */
  async #stable(make: (region: string) => Promise<ResponseInit>): Promise<ResponseInit> {
    for (;;) {
      const before = this.#options.register.current;
      const response = await make(before.region).catch((reason: unknown) => DrError.from(reason));
      if (this.#options.register.current !== before) continue;
      if (response instanceof DrError) throw response;
      return response;
    }
  }

  /** Answers one kept question from the active region, or from all in dual mode. */
  #kept(key: string, body: (bodies: string[]) => string): Promise<ResponseInit> {
    return this.#stable(async (region) => {
      const answers = await this.#answers(key, region);
      const bodies = answers.flatMap((answer) => (answer.kind === 'body' ? answer.body : []));
      if (bodies.length > 0) {
        answered.inc({ outcome: 'body' });
        return { code: ResponseCode.SUCCESS, body: body(bodies) };
      }
      if (answers.every((answer) => answer.kind === 'absent')) {
        answered.inc({ outcome: 'absent' });
        return unknownTopic(key);
      }
      answered.inc({ outcome: 'unreachable' });
      // Why not 17: nobody said that the topic does not exist.
      throw new DrError('UNREACHABLE', `region ${region} does not answer and left no last answer`);
    });
  }

  #answers(key: string, region: string): Promise<Answer[]> {
    const { views, isDual } = this.#options;
    const chosen = [...views.values()]
      .filter((view) => isDual || view.link.region === region)
      .sort((left, right) => rank(left, region) - rank(right, region));
    return Promise.all(chosen.map((view) => view.answer(key, this.#flippedAtMs)));
  }

  async #forward(region: string, request: RemotingCommand): Promise<ResponseInit> {
    return passOn(await this.#view(region).link.ask(requestOf(request)));
  }

  async #tellRegion(request: RemotingCommand): Promise<ResponseInit> {
    const view = this.#view(this.#options.register.current.region);
    const answer = await view.link.tellAll(requestOf(request));
    view.expire();
    return passOn(answer);
  }

  /**
   * The active region first: what it refuses nobody gets. A region that cannot be told makes the answer
   * an error, though the others have the change: it is the same when it is made again.
   */
  async #tellEverybody(request: RemotingCommand): Promise<ResponseInit> {
    const answer = await this.#tellRegion(request);
    if (answer.code !== ResponseCode.SUCCESS) return answer;
    const { current } = this.#options.register;
    const others = [...this.#options.views.values()].filter(
      ({ link }) => link.region !== current.region,
    );
    const told = await Promise.all(
      others.map(({ link }) => link.tellAll(requestOf(request)).catch(() => undefined)),
    );
    const missed = others.filter((_, at) => told[at]?.code !== ResponseCode.SUCCESS);
    if (missed.length === 0) return answer;
    const regions = missed.map(({ link }) => link.region).join(', ');
    return {
      code: ResponseCode.SYSTEM_ERROR,
      remark: `done in ${current.region}, but not in ${regions}: repeat it when that answers again`,
    };
  }

  #view(region: string): RegionView {
    const view = this.#options.views.get(region);
    if (!view) throw new DrError('UNEXPECTED', `region ${region} is not configured`);
    return view;
  }
}

/** The active region's bodies come first when merging. */
const rank = (view: RegionView, region: string): number => (view.link.region === region ? 0 : 1);

const requestOf = (request: RemotingCommand): RequestInit => ({
  code: request.code,
  ext: request.ext,
  ...(request.body && { body: request.body }),
});

const passOn = (answer: RemotingCommand): ResponseInit => ({
  code: answer.code,
  ext: answer.ext,
  ...(answer.remark !== undefined && { remark: answer.remark }),
  ...(answer.body && { body: answer.body }),
});
