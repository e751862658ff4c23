// Door of the pull path.
export * from './held-pulls.ts';
export * from './pull-handler.ts';
export * from './slow-readers.ts';
