// Entry of a worker thread: one task at a time, answers by message. Buffers are handed over, not copied.
// Errors cross as plain data, because class instances lose their kind on the way.
// `null` is the last message: the thread then ends by itself.
import { parentPort, workerData } from 'node:worker_threads';
import { DrError } from '../../core-broker/base/errors.ts';
import { runArchive, runExtract, type SegmentTask } from './tasks.ts';

parentPort?.on('message', (task: SegmentTask | null) => {
  if (task === null) {
    parentPort?.close();
    return;
  }
  try {
    if (task.kind === 'archive') {
      const answer = runArchive(task, workerData as Int32Array);
      parentPort?.postMessage({ ok: true, answer }, [answer.object.buffer as ArrayBuffer]);
      return;
    }
    parentPort?.postMessage({ ok: true, answer: runExtract(task) });
  } catch (reason) {
    const { code, message, context } = DrError.from(reason);
    parentPort?.postMessage({ ok: false, code, message, context });
  }
});
