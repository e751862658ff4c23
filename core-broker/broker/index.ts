// Door of the broker room.
export { type BrokerOptions, createBroker } from './broker.ts';
export * from './config/index.ts';
export type * from './door.ts';
