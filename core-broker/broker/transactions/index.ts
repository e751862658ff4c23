// Door of transactions: what becomes of a half record, op messages, and the check of what is left open.
export * from './half-drafts.ts';
export * from './half-queues.ts';
export * from './half-walk.ts';
export * from './op-writer.ts';
export * from './transactions.ts';
