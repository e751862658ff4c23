// Door of the HA port: classic replication protocol, master side.
export { HaServer, type HaServerOptions } from './server.ts';
export { haStatus } from './status.ts';
