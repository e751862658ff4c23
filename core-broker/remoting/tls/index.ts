// Door of tls: settings under Apache's names, the server side with rotation, the client side.
export { openSocket } from './client-tls.ts';
export * from './peer-identity.ts';
export { ServerTls } from './server-tls.ts';
export * from './tls-settings.ts';
