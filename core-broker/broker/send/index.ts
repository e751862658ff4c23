// Door of the send path.
export * from './delay-rewrite.ts';
export * from './message-writer.ts';
export * from './withheld-replies.ts';
