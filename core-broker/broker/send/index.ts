// Door of the send path.
export * from './send-path.ts';
export * from './stored-properties.ts';
