// Door of appends that do not come straight from a send frame.
export * from './delay-rewrite.ts';
export * from './half-rewrite.ts';
export * from './message-writer.ts';
export * from './timer-rewrite.ts';
