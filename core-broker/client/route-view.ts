// Reads a topic route: which queues take writes or reads, and at which address. Pure.
// Source: how RocketMQ clients read TopicRouteData.

import type { MessageQueue } from '../protocol/index.ts';
import { Perm, type TopicRouteData } from '../protocol/index.ts';

/** host:port of broker id 0, undefined when the group has no master now. */
export function masterOf(route: TopicRouteData, brokerName: string): string | undefined {
  return addressesOf(route, brokerName)['0'];
}

/** Any replica, the lowest id first: for reads while there is no master. */
export function anyAddress(route: TopicRouteData, brokerName: string): string | undefined {
  const ids = Object.entries(addressesOf(route, brokerName));
  return ids.sort(([left], [right]) => Number(left) - Number(right))[0]?.[1];
}

/** Every address of every broker of the topic, each once. */
export function brokerAddresses(route: TopicRouteData): string[] {
  const all = route.brokerDatas.flatMap((data) => Object.values(data.brokerAddrs));
  return [...new Set(all)];
}

/** Queues that take writes: W permission and a master in the route. */
export function writableQueues(topic: string, route: TopicRouteData): MessageQueue[] {
  return route.queueDatas
    .filter((data) => (data.perm & Perm.WRITE) !== 0)
    .filter((data) => masterOf(route, data.brokerName) !== undefined)
    .flatMap((data) => queuesOf(topic, data.brokerName, data.writeQueueNums));
}

/** Queues that can be read, whether there is a master or not. */
export function readableQueues(topic: string, route: TopicRouteData): MessageQueue[] {
  return route.queueDatas
    .filter((data) => (data.perm & Perm.READ) !== 0)
    .flatMap((data) => queuesOf(topic, data.brokerName, data.readQueueNums));
}

function queuesOf(topic: string, brokerName: string, count: number): MessageQueue[] {
  return Array.from({ length: count }, (_, queueId) => ({ topic, brokerName, queueId }));
}

function addressesOf(route: TopicRouteData, brokerName: string): Record<string, string> {
  return route.brokerDatas.find((data) => data.brokerName === brokerName)?.brokerAddrs ?? {};
}
