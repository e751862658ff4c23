// Door of client (L3): peer calls, signed control, routes, producer, consumers, admin, probe.
export * from './admin/index.ts';
export * from './admin-client.ts';
export * from './broker-admin.ts';
export type { PullAnswer } from './consumer/pull.ts';
export * from './consumer/pull-consumer.ts';
export * from './consumer/push-consumer.ts';
export { allocateAverage, compareQueues, queueKey } from './consumer/rebalance.ts';
export type * from './door.ts';
export * from './dr-client.ts';
export * from './messages.ts';
export { createPeerClient, remoteCode } from './peer-client.ts';
export * from './route-cache.ts';
export * from './route-view.ts';
export * from './sending/probe.ts';
export * from './sending/producer.ts';
