// Door of the gates: conditions under which frames of clients go no further.
export { BusyGate, SlowWrites } from './busy-gate.ts';
export { FarewellGate } from './farewell-gate.ts';
export { allOf, type FrameGate } from './frame-gate.ts';
