export * from './command.ts';
export * from './dr-control.ts';
