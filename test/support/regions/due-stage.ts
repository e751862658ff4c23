// Two real regions with messages of every kind that will come due within seconds, and the waits for them.
import { waitFor } from '../../../cli/demo/process.ts';
import { COUNTS, DUE_LINES, DueMessages, tally } from './due-messages.ts';
import { PATIENT_MS, Stage } from './stage.ts';

export interface DueStage {
  stage: Stage;
  due: DueMessages;
  /** Until `count` different bodies of a topic are there. */
  arrived(topic: string, count: number): Promise<unknown>;
  /** Lets the producer settle its transactions and waits for everything. */
  everythingArrived(): Promise<void>;
  /** What a topic lacks and has twice. */
  found(topic: string, prefix: string, count: number): Promise<ReturnType<typeof tally>>;
}

export async function openDueStage(name: string): Promise<DueStage> {
  const stage = await Stage.open(name, {
    gateway: true,
    brokerLines: DUE_LINES,
    drYaml: { switchover: { maxWritePauseMs: 2_500, drainTimeoutMs: 2_400, callTimeoutMs: 5_000 } },
  });
  const { gateway = '', globalNameserver } = stage.regions;
  const due = stage.onClose(new DueMessages(gateway, globalNameserver), (each) => each.stop());
  await due.send();
  const arrived = (topic: string, count: number) =>
    waitFor(
      `${count} of ${topic}`,
      // A gateway that is being flipped answers nobody for a moment.
      async () => new Set(await due.bodies(topic).catch(() => [])).size >= count,
      { timeoutMs: PATIENT_MS },
    );
  return {
    ...{ stage, due, arrived },
    everythingArrived: async () => {
      due.settle();
      await arrived('TIMED', COUNTS.timers);
      await arrived('DELAYED', COUNTS.delayed);
      await arrived('SETTLED', COUNTS.halves);
      await waitFor('every retry', () => due.retried >= COUNTS.retries, { timeoutMs: PATIENT_MS });
    },
    found: async (topic, prefix, count) => tally(await due.bodies(topic), prefix, count),
  };
}
