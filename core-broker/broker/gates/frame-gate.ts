// What may stand before all handlers of a broker: ACL, a disk that does not keep up, the farewell before a
// stop. While none stands there a frame costs one branch; gates are put up and taken away as a whole.
// Invariant: a frame that a gate refuses was not looked at by anything behind it, so nothing of it is
// stored; the gate itself answered it. Source: ours, after rejectRequest of Apache's remoting server.
import type { ServerConnection } from '../../remoting/index.ts';

export interface FrameGate {
  /** False = answered here, or not to be answered; valid bytes are [start, end) of `chunk`. */
  admits(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean;
}

/** One gate for several, asked in order; undefined for none. */
export function allOf(gates: readonly FrameGate[]): FrameGate | undefined {
  if (gates.length < 2) return gates[0];
  return {
    admits: (connection, chunk, start, end) =>
      gates.every((gate) => gate.admits(connection, chunk, start, end)),
  };
}
