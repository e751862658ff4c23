// The wire to a model of two regions: each control call may be lost, answered to nobody, repeated or
// delayed until long after its sender died. Virtual time; no I/O.
import { DrError } from '../../core-broker/base/index.ts';
import type { DrClient } from '../../core-broker/client/index.ts';
import { type ModelBody, type RegionModel, TICK_MS } from './region-model.ts';

/** What happens to one control call. */
export type WireFault = 'ok' | 'lose-request' | 'lose-answer' | 'repeat' | 'delay' | 'late-repeat';

export interface FaultyWire {
  /** Fault of the n-th control call (0-based); STATUS calls count too. */
  faultOf(call: number, code: number): WireFault;
  /** Called around each effect; may throw to kill the controller. */
  onEffect?(call: number, code: number, stage: 'before' | 'after'): void;
}

/** A DrClient over the model with faults; each call takes one tick. */
export function modelDrClient(world: RegionModel, wire: FaultyWire): DrClient {
  let calls = 0;
  return {
    close: () => undefined,
    control: async <T>(address: string, request: { code: number; body: object }) => {
      const call = calls++;
      const body = request.body as ModelBody;
      const effect = () => world.deliver(address, request.code, body);
      const quietly = () => {
        try {
          effect();
        } catch (reason) {
          // A late copy: nobody waits for what it is told.
          if (!(reason instanceof DrError)) throw reason;
        }
      };
      wire.onEffect?.(call, request.code, 'before');
      world.advance(TICK_MS);
      const fault = wire.faultOf(call, request.code);
      if (fault === 'lose-request') throw lost(world);
      if (fault === 'delay') {
        world.later(world.delayMs, quietly);
        throw lost(world);
      }
      if (fault === 'late-repeat') world.later(400, quietly);
      if (fault === 'repeat') quietly();
      const answer = effect();
      wire.onEffect?.(call, request.code, 'after');
      if (fault === 'lose-answer') throw lost(world);
      return answer as T;
    },
  };
}

function lost(world: RegionModel): DrError {
  world.advance(100);
  return new DrError('TIMEOUT', 'no answer in time');
}
