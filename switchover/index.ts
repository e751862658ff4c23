// Door of switchover (L4): the controller of planned and forced switches, its plan table, the control
// store and the sections of dr.yaml that belong to it.
export * from './config.ts';
export * from './control-store/index.ts';
export { createController } from './controller.ts';
export type * from './door.ts';
export * from './gateway/index.ts';
export type {
  Operation,
  OperationKind,
  Outcome,
  StepFacts,
  StepName,
  StepRecord,
  StepStage,
} from './journal.ts';
export { mermaid } from './plan.ts';
export type { Mode, Phase, PlanRow } from './plan-table.ts';
export { PLAN } from './plan-table.ts';
export type { PreflightCheck } from './preflight.ts';
export { type BrokerLoss, type LossStatement, renderStatement } from './statement.ts';
