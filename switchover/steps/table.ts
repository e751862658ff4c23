// Each journaled step of the plan and the function that does it.
import type { StepName } from '../journal.ts';
import { flip, relay, reverse } from './after.ts';
import { canary } from './canary.ts';
import { assess, cutOff } from './failover.ts';
import { catchUp, drain, fence, finalSync, seal } from './planned.ts';
import { halt, promote } from './promote.ts';
import { rollBack } from './roll-back.ts';
import type { Run, StepOutcome } from './run.ts';

export const STEPS: Readonly<Record<StepName, (run: Run) => Promise<StepOutcome>>> = {
  'catch-up': catchUp,
  fence,
  seal,
  drain,
  'cut-off': cutOff,
  halt,
  assess,
  'final-sync': finalSync,
  promote,
  flip,
  relay,
  canary,
  reverse,
  'roll-back': rollBack,
};
