// Bodies for clients, made from what regions said: gateway addresses put in, two regions merged in dual
// mode. Pure. Fields this program does not know are kept: a newer broker may send more.
// Invariant: a merged body never holds one broker name from two regions; the active region's wins, since
// clients tell queues apart by broker name alone. Source: ours.
import { parseJsonObject, type TopicRouteData } from '../../protocol/index.ts';
import { isZoned, ofZone } from '../route/route-answer.ts';

type Loose = Record<string, unknown>;

/** Broker name -> address clients get instead of the broker's own. */
export type Gateways = ReadonlyMap<string, string>;

const objectOf = (value: unknown): Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {};
const listOf = (value: unknown): Loose[] => (Array.isArray(value) ? value.map(objectOf) : []);
const nameOf = (broker: Loose): string => String(broker['brokerName'] ?? '');

/**
 * A route body for clients.
 * @param ext fields of the request: they may ask for one zone only
 * @throws DrError PROTOCOL when a region's body is no JSON object
 */
export function routeBody(
  bodies: string[],
  gateways: Gateways,
  ext: Record<string, string> = {},
): string {
  const routes = bodies.map((body) => parseJsonObject(body));
  const merged: Loose = { ...routes[0], filterServerTable: {} };
  const owner = ownersOf(routes.map((route) => listOf(route['brokerDatas']).map(nameOf)));
  const pick = (field: string) =>
    routes.flatMap((route, at) =>
      listOf(route[field]).filter((item) => owner.get(nameOf(item)) === at),
    );
  merged['brokerDatas'] = pick('brokerDatas').map((broker) => behindGateway(broker, gateways));
  merged['queueDatas'] = pick('queueDatas');
  for (const route of routes) {
    merged['filterServerTable'] = {
      ...objectOf(route['filterServerTable']),
      ...objectOf(merged['filterServerTable']),
    };
  }
  if (!isZoned(ext)) return JSON.stringify(merged);
  // The three tables that are read were made above; everything else is passed on.
  const near = ofZone(merged as unknown as TopicRouteData, ext['__ZONE_NAME'] ?? '');
  return JSON.stringify(near);
}

/** A cluster-info body (code 106) for clients. @throws DrError PROTOCOL */
export function clusterBody(bodies: string[], gateways: Gateways): string {
  const brokerAddrTable: Loose = {};
  const clusters = new Map<string, Set<string>>();
  for (const body of bodies) {
    const info = parseJsonObject(body);
    for (const [name, broker] of Object.entries(objectOf(info['brokerAddrTable']))) {
      brokerAddrTable[name] ??= behindGateway(objectOf(broker), gateways);
    }
    for (const [cluster, names] of Object.entries(objectOf(info['clusterAddrTable']))) {
      const known = clusters.get(cluster) ?? new Set<string>();
      for (const name of Array.isArray(names) ? names : []) known.add(String(name));
      clusters.set(cluster, known);
    }
  }
  const clusterAddrTable = Object.fromEntries([...clusters].map(([c, names]) => [c, [...names]]));
  return JSON.stringify({ brokerAddrTable, clusterAddrTable });
}

/** A topic-list body, the union of all. @throws DrError PROTOCOL */
export function topicListBody(bodies: string[]): string {
  const topics = new Set<unknown>();
  for (const body of bodies) {
    const list = parseJsonObject(body)['topicList'];
    for (const topic of Array.isArray(list) ? list : []) topics.add(topic);
  }
  return JSON.stringify({ topicList: [...topics] });
}

/** Broker name -> index of the first region that has it. */
function ownersOf(names: string[][]): Map<string, number> {
  const owner = new Map<string, number>();
  for (const [at, list] of names.entries()) {
    for (const name of list) if (!owner.has(name)) owner.set(name, at);
  }
  return owner;
}

/** The gateway stands for the master only; a group without a master keeps its slaves' addresses. */
function behindGateway(broker: Loose, gateways: Gateways): Loose {
  const gateway = gateways.get(nameOf(broker));
  if (gateway === undefined || objectOf(broker['brokerAddrs'])['0'] === undefined) return broker;
  return { ...broker, brokerAddrs: { '0': gateway } };
}
