// Door of the hot-path scanners.
export * from './pull-scanner.ts';
export * from './send-scanner.ts';
export * from './send-shape.ts';
export * from './signed-send.ts';
