// Door of nameserver (L4): the regional and the global name server and their configuration.

export { GLOBAL_KEYS, INERT_KEYS, NAMESERVER_KEYS, SECURITY_KEYS } from './config/keys.ts';
export type { GlobalConfig, NameserverConfig } from './config/load.ts';
export { loadNameserverConfig, regionalConfig } from './config/load.ts';
export type { GlobalNameServer, GlobalNameServerOptions } from './global/global-name-server.ts';
export { createGlobalNameServer } from './global/global-name-server.ts';
export type { NameServerOptions } from './regional/name-server.ts';
export { createNameServer } from './regional/name-server.ts';
export type { NameServer } from './serving.ts';
