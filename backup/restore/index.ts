// Door of the restore: a backup becomes a store directory again.
export type { RestoreCut } from './plan.ts';
export {
  fetchEntry,
  type RestoreProgress,
  type RestoreResult,
  restoreStore,
} from './restore.ts';
