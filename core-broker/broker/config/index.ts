// Door of the broker's configuration: key table, loader, compiled values.
export * from './broker-keys.ts';
export { UNSUPPORTED_KEYS } from './known-keys.ts';
export * from './load-config.ts';
