// Door of the gateway inside switchover.
export type { GatewayConfig } from './config.ts';
export { GATEWAY_KEYS, GATEWAY_TLS_KEYS, loadGatewayConfig } from './config.ts';
export type { Gateway, GatewayOptions } from './gateway.ts';
export { createGateway } from './gateway.ts';
