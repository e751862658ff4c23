// Controllers over a region model that die like kill -9: from one moment on, none of their calls has an
// effect and none of their writes reaches the store, whatever their code still tries to do.
import { DrError } from '../../core-broker/base/index.ts';
import type { DrClient } from '../../core-broker/client/index.ts';
import type { Controller, ControllerEvent, ControlStore } from '../../switchover/index.ts';
import {
  createController,
  flipsConfigSchema,
  switchoverConfigSchema,
} from '../../switchover/index.ts';
import type { RegionModel } from './region-model.ts';
import { type FaultyWire, modelDrClient } from './region-wire.ts';

export const NO_FAULTS: FaultyWire = { faultOf: () => 'ok' };

/** When to die: around the n-th control call with an effect, or the n-th journal record. */
export interface CrashPoint {
  at: 'call-before' | 'call-after' | 'record-before' | 'record-after';
  n: number;
}

export interface ModelController {
  controller: Controller;
  events: ControllerEvent[];
  isDead(): boolean;
  /** Journal records and effectful calls so far: bounds for choosing crash points. */
  counts(): { calls: number; records: number };
}

let pids = 100;
const livePids = new Set<number>();

const STATUS_CODES = new Set([40001, 40021, 40016, 40008]);

export function modelController(
  world: RegionModel,
  store: ControlStore,
  { wire = NO_FAULTS, crash }: { wire?: FaultyWire; crash?: CrashPoint } = {},
): ModelController {
  let isDead = false;
  let calls = 0;
  let records = 0;
  const pid = pids++;
  livePids.add(pid);
  const events: ControllerEvent[] = [];
  const die = (): never => {
    isDead = true;
    livePids.delete(pid);
    throw new DrError('UNEXPECTED', 'killed');
  };
  const alive = () => {
    if (isDead) die();
  };
  const drClient: DrClient = (() => {
    const inner = modelDrClient(world, {
      faultOf: wire.faultOf,
      onEffect: (call, code, stage) => {
        alive();
        wire.onEffect?.(call, code, stage);
        if (STATUS_CODES.has(code)) return;
        if (stage === 'before') calls++;
        if (crash?.at === `call-${stage}` && crash.n === calls) die();
      },
    });
    return {
      ...inner,
      control: async (address, request, timeoutMs) => {
        alive();
        return inner.control(address, request, timeoutMs);
      },
    };
  })();
  const guarded: ControlStore = new Proxy(store, {
    get(target, name: keyof ControlStore) {
      return async (...args: unknown[]) => {
        alive();
        const call = () => (target[name] as (...a: unknown[]) => Promise<unknown>)(...args);
        if (name !== 'append') return call();
        records++;
        if (crash?.at === 'record-before' && crash.n === records) die();
        const result = await call();
        if (crash?.at === 'record-after' && crash.n === records) die();
        return result;
      };
    },
  });
  const controller = createController({
    regions: world.regions(),
    flips: flipsConfigSchema.parse({ globalNameservers: ['gns:1'], gateways: ['gw:1'] }),
    settings: switchoverConfigSchema.parse({ promoteTimeoutMs: 1_500, catchUpTimeoutMs: 3_000 }),
    drClient,
    peerClient: world.peerClient,
    store: guarded,
    report: (event) => events.push(event),
    clock: { nowMs: () => world.nowMs, monotonicMs: () => world.nowMs },
    sleep: async (ms) => {
      alive();
      world.advance(ms);
    },
    process: { host: 'here', pid, isAlive: (asked) => livePids.has(asked) },
  });
  return { controller, events, isDead: () => isDead, counts: () => ({ calls, records }) };
}
