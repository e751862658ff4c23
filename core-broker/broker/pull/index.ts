// Door of the pull path.
export * from './held-pulls.ts';
export * from './pull-handler.ts';
export * from './pull-reply.ts';
export * from './pull-request.ts';
export * from './pull-turns.ts';
export * from './slow-readers.ts';
