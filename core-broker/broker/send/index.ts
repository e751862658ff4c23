// Door of the send path.

export { parseRecallHandle, type RecallHandle } from './recall-handle.ts';
export * from './send-path.ts';
export * from './stored-properties.ts';
