// Door of the snapshot: a live store directory becomes one backup.
export * from './snapshot.ts';
