// Door of the gateway inside switchover.
export type { GatewayConfig } from './config.ts';
export { loadGatewayConfig } from './config.ts';
export type { Gateway, GatewayOptions } from './gateway.ts';
export { createGateway } from './gateway.ts';
