// Door of the withheld replies: what a client is told about its sends, and when.
export * from './byte-writer.ts';
export * from './reply-release.ts';
export * from './reply-template.ts';
export * from './session.ts';
export * from './withheld-replies.ts';
