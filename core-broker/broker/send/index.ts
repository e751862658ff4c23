// Door of the send path.
export * from './message-writer.ts';
export * from './withheld-replies.ts';
