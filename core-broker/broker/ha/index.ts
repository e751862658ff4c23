// Door of the HA port: classic replication protocol, master side.
export { HA_READ_BYTES } from './log-reader.ts';
export { HaServer, type HaServerOptions } from './server.ts';
export { haStatus } from './status.ts';
