// Door of the administrator's calls: any RocketMQ cluster, ours or stock 4.9 and 5.x.
export * from './broker-calls.ts';
export * from './group-calls.ts';
export * from './message-calls.ts';
export * from './time-text.ts';
export * from './topic-calls.ts';
export * from './wire.ts';
