// Lowers captured offsets that point beyond the copied log.
// The ends of the queues come from the consume queues, which is cheap; only when they would lower an
// offset (queues behind the log, or missing) the whole log is scanned for the true ends first.
import {
  clampConsumerOffsets,
  clampDelayOffsets,
  isInQueue,
  type QueueMax,
  type QueueState,
  scanFile,
} from '../log/index.ts';
import type { ConfigFile } from './config-files.ts';
import type { LogExtent } from './log-extent.ts';
import type { PinnedFiles } from './work-folder.ts';

interface LogFacts {
  extent: LogExtent;
  queues: readonly QueueState[];
  pinned: PinnedFiles;
}

export async function clampFiles(
  files: readonly ConfigFile[],
  facts: LogFacts,
): Promise<{ files: ConfigFile[]; count: number }> {
  const ends = new Map(
    facts.queues.map((queue) => [nameOf(queue.topic, queue.queueId), queue.max]),
  );
  const byQueues = clampAll(files, (topic, queueId) => ends.get(nameOf(topic, queueId)) ?? 0);
  if (byQueues.count === 0) return byQueues;
  await addLogEnds(ends, facts);
  return clampAll(files, (topic, queueId) => ends.get(nameOf(topic, queueId)) ?? 0);
}

const nameOf = (topic: string, queueId: number): string => `${topic}@${queueId}`;

function clampAll(files: readonly ConfigFile[], max: QueueMax) {
  let count = 0;
  const clamped = files.map((file) => {
    const text = file.content.toString('utf8');
    const result =
      file.path === 'config/consumerOffset.json'
        ? clampConsumerOffsets(text, max)
        : file.path === 'config/delayOffset.json'
          ? clampDelayOffsets(text, max)
          : undefined;
    if (!result || result.clamps.length === 0) return file;
    count += result.clamps.length;
    return { ...file, content: Buffer.from(result.text) };
  });
  return { files: clamped, count };
}

async function addLogEnds(ends: Map<string, number>, facts: LogFacts): Promise<void> {
  for (const file of facts.extent.files) {
    const sizeBytes = Math.min(file.sizeBytes, facts.extent.max - file.startOffset);
    const input = {
      path: facts.pinned.pathOf(file.name),
      startOffset: file.startOffset,
      sizeBytes,
    };
    await scanFile(input, ({ view, bytes }) => {
      if (!isInQueue(view.sysFlag)) return true;
      const topic = bytes.toString('utf8', view.topicStart, view.topicStart + view.topicLength);
      const name = nameOf(topic, view.queueId);
      ends.set(name, Math.max(ends.get(name) ?? 0, view.queueOffset + 1));
      return true;
    });
  }
}
