// Door of protocol (L1, pure): everything that is bytes, text and tables of the RocketMQ wire. No I/O.
export * from './acl-sign.ts';
export * from './bodies/index.ts';
export * from './codes.ts';
export * from './command.ts';
export * from './constants.ts';
export * from './dr-auth.ts';
export * from './dr-control.ts';
export * from './dr-flip.ts';
export * from './filter/index.ts';
export * from './message/index.ts';
export * from './names.ts';
export * from './scan/index.ts';
export * from './wire/index.ts';
