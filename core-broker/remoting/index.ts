// Door of remoting (L2): framed TCP server and client, request dispatch, splicing.
export type * from './door.ts';
export * from './frame-reader.ts';
export * from './remoting-client.ts';
export * from './remoting-server.ts';
export * from './request-dispatcher.ts';
export * from './splice.ts';
export * from './tls/index.ts';
