// Door of the JSON bodies: types, tolerant readers, strict writers.
export * from './client.ts';
export * from './group.ts';
export * from './offsets.ts';
export * from './register.ts';
export * from './route.ts';
export * from './topic.ts';
