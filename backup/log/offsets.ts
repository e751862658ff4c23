// Clamps stored positions to a copied log. Pure.
// Why: an offset beyond the end of its queue makes a consumer wait, in silence, until new messages
// have filled the hole: it would skip them all. Lower is safe (a duplicate), higher is a loss.
// Invariant: no offset ever grows, unknown fields and untouched text stay as they were.
import { parseLooseJson } from './loose-json.ts';

/** Next queue offset of a queue in the copied log; 0 when the queue is not there at all. */
export type QueueMax = (topic: string, queueId: number) => number;

export interface Clamp {
  topic: string;
  group: string;
  queueId: number;
  from: number;
  to: number;
}

export interface Clamped {
  text: string;
  clamps: Clamp[];
}

const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

/** consumerOffset.json: {"offsetTable": {"topic@group": {queueId: offset}}}. */
export function clampConsumerOffsets(text: string, max: QueueMax): Clamped {
  return clampTable(text, 'consumerOffset.json', (name, value, clamps) => {
    const split = name.lastIndexOf('@');
    const at = { topic: name.slice(0, split), group: name.slice(split + 1) };
    if (split <= 0 || typeof value !== 'object' || value === null) return value;
    const queues = Object.entries(value as Record<string, unknown>).map(([id, offset]) => {
      const limit = max(at.topic, Number(id));
      if (typeof offset !== 'number' || offset <= limit) return [id, offset];
      clamps.push({ ...at, queueId: Number(id), from: offset, to: limit });
      return [id, limit];
    });
    return Object.fromEntries(queues);
  });
}

/** delayOffset.json: {"offsetTable": {level: offset}}; level n is queue n - 1 of the schedule topic. */
export function clampDelayOffsets(text: string, max: QueueMax): Clamped {
  return clampTable(text, 'delayOffset.json', (level, value, clamps) => {
    const queueId = Number(level) - 1;
    const limit = max(SCHEDULE_TOPIC, queueId);
    if (typeof value !== 'number' || value <= limit) return value;
    clamps.push({
      topic: SCHEDULE_TOPIC,
      group: `level ${level}`,
      queueId,
      from: value,
      to: limit,
    });
    return limit;
  });
}

function clampTable(
  text: string,
  what: string,
  clampValue: (name: string, value: unknown, clamps: Clamp[]) => unknown,
): Clamped {
  const document = parseLooseJson(text, what) as { offsetTable?: Record<string, unknown> };
  const clamps: Clamp[] = [];
  const table = Object.entries(document.offsetTable ?? {}).map(([name, value]) => [
    name,
    clampValue(name, value, clamps),
  ]);
  if (clamps.length === 0) return { text, clamps };
  const changed = { ...document, offsetTable: Object.fromEntries(table) };
  return { text: JSON.stringify(changed, null, 2), clamps };
}
