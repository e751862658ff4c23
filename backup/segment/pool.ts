// Worker threads that pack and unpack segments. Each works on one task and has one more in its mailbox,
// so that it goes on while the main thread is busy; other callers wait their turn.
// Invariant: a worker that dies fails its task and the pool; nothing waits for it for ever.
import { Worker } from 'node:worker_threads';
import { DrError, type ErrorCode } from '../../core-broker/base/index.ts';
import { Gate } from './gate.ts';
import type {
  ArchiveAnswer,
  ArchiveTask,
  ExtractAnswer,
  ExtractTask,
  SegmentTask,
} from './tasks.ts';

interface WorkerReply {
  ok: boolean;
  answer?: unknown;
  code?: ErrorCode;
  message?: string;
  context?: Record<string, unknown>;
}

interface Waiting {
  task: SegmentTask;
  resolve: (answer: unknown) => void;
  reject: (reason: DrError) => void;
}

/** Hands the object's memory over; a slice of a larger buffer is copied first, its rest is others'. */
function post(worker: Worker, task: SegmentTask): void {
  if (task.kind === 'archive') {
    worker.postMessage(task);
    return;
  }
  const { buffer, byteLength } = task.object;
  const object = buffer.byteLength === byteLength ? task.object : new Uint8Array(task.object);
  worker.postMessage({ ...task, object }, [object.buffer as ArrayBuffer]);
}

/** Source tree: .ts, run by type stripping. Published build: .js. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

/** A thread that was asked to end is killed after this, ms; the longest task is far shorter. */
const END_WAIT_MS = 10_000;

/** Asks one thread to end and waits until it has. */
async function end(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return;
  const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const late = setTimeout(() => void worker.terminate(), END_WAIT_MS);
  worker.postMessage(null);
  await gone;
  clearTimeout(late);
}

/** One at work, one in the mailbox: bounds the memory to two segments a worker. */
const TASKS_PER_WORKER = 2;

export class SegmentPool {
  readonly size: number;
  readonly #gate: Gate;
  /** Tasks handed to each worker, oldest first: it answers in this order. */
  readonly #workers = new Map<Worker, Waiting[]>();
  readonly #queue: Waiting[] = [];
  #failure: DrError | undefined;

  /** @param gate  shut: the workers stop reading; none: they never do */
  constructor(size: number, gate = new Gate()) {
    this.size = size;
    this.#gate = gate;
  }

  archive(task: ArchiveTask): Promise<ArchiveAnswer> {
    return this.#run(task) as Promise<ArchiveAnswer>;
  }

  /** Hands `task.object` over: the caller must not use it again. */
  extract(task: ExtractTask): Promise<ExtractAnswer> {
    return this.#run(task) as Promise<ExtractAnswer>;
  }

  /**
   * Ends all threads; tasks under way are refused.
   * Why not terminate() at once: a thread killed while it starts (it compiles its sources then) has been
   * seen to take the whole process with it (SIGSEGV). It is asked, and killed only when it does not go.
   */
  async close(): Promise<void> {
    this.#fail(new DrError('CANCELLED', 'the segment workers were closed'));
    await Promise.all([...this.#workers.keys()].map(end));
    this.#workers.clear();
  }

  /** Starts all threads now, while the caller prepares its tasks. */
  warm(): void {
    while (this.#workers.size < this.size) this.#start();
  }

  #run(task: SegmentTask): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#leastBusy();
      if (!worker) return;
      const waiting = this.#queue.shift();
      if (!waiting) return;
      this.#workers.get(worker)?.push(waiting);
      post(worker, waiting.task);
    }
  }

  #leastBusy(): Worker | undefined {
    let best: Worker | undefined;
    let fewest = TASKS_PER_WORKER;
    for (const [worker, tasks] of this.#workers) {
      if (tasks.length >= fewest) continue;
      best = worker;
      fewest = tasks.length;
    }
    return fewest > 0 && this.#workers.size < this.size ? this.#start() : best;
  }

  #start(): Worker {
    const worker = new Worker(ENTRY, { workerData: this.#gate.cell });
    this.#workers.set(worker, []);
    worker.on('message', (reply: WorkerReply) => this.#onReply(worker, reply));
    worker.on('error', (reason: unknown) => this.#fail(DrError.from(reason)));
    worker.on('exit', (code) => {
      this.#fail(new DrError('UNEXPECTED', `a segment worker ended with ${code}`));
    });
    return worker;
  }

  #onReply(worker: Worker, reply: WorkerReply): void {
    const waiting = this.#workers.get(worker)?.shift();
    if (reply.ok) waiting?.resolve(reply.answer);
    else {
      const context = reply.context ?? {};
      waiting?.reject(new DrError(reply.code ?? 'UNEXPECTED', reply.message ?? '', { context }));
    }
    this.#dispatch();
  }

  #fail(reason: DrError): void {
    this.#failure ??= reason;
    const handed = [...this.#workers.values()].flatMap((tasks) => tasks.splice(0));
    for (const waiting of [...handed, ...this.#queue]) waiting.reject(this.#failure);
    this.#queue.length = 0;
  }
}
