// Worker threads that pack and unpack segments. Each has one task at a time; callers wait their turn.
// Invariant: a worker that dies fails its task and the pool; nothing waits for it for ever.
import { Worker } from 'node:worker_threads';
import { DrError, type ErrorCode } from '../../core-broker/base/index.ts';
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

export class SegmentPool {
  readonly size: number;
  readonly #idle: Worker[] = [];
  readonly #workers = new Set<Worker>();
  readonly #busy = new Map<Worker, Waiting>();
  readonly #queue: Waiting[] = [];
  #failure: DrError | undefined;

  constructor(size: number) {
    this.size = size;
  }

  archive(task: ArchiveTask): Promise<ArchiveAnswer> {
    return this.#run(task) as Promise<ArchiveAnswer>;
  }

  /** Hands `task.object` over: the caller must not use it again. */
  extract(task: ExtractTask): Promise<ExtractAnswer> {
    return this.#run(task) as Promise<ExtractAnswer>;
  }

  /** Ends all threads; tasks under way are refused. */
  async close(): Promise<void> {
    this.#fail(new DrError('CANCELLED', 'the segment workers were closed'));
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
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
      const worker = this.#idle.pop() ?? this.#start();
      if (!worker) return;
      const waiting = this.#queue.shift();
      if (!waiting) return;
      this.#busy.set(worker, waiting);
      post(worker, waiting.task);
    }
  }

  #start(): Worker | undefined {
    if (this.#workers.size >= this.size) return undefined;
    const worker = new Worker(ENTRY);
    this.#workers.add(worker);
    worker.on('message', (reply: WorkerReply) => this.#onReply(worker, reply));
    worker.on('error', (reason: unknown) => this.#fail(DrError.from(reason)));
    worker.on('exit', (code) => {
      if (this.#workers.delete(worker)) {
        this.#fail(new DrError('UNEXPECTED', `a segment worker ended with ${code}`));
      }
    });
    return worker;
  }

  #onReply(worker: Worker, reply: WorkerReply): void {
    const waiting = this.#busy.get(worker);
    this.#busy.delete(worker);
    this.#idle.push(worker);
    if (reply.ok) waiting?.resolve(reply.answer);
    else {
      const context = reply.context ?? {};
      waiting?.reject(new DrError(reply.code ?? 'UNEXPECTED', reply.message ?? '', { context }));
    }
    this.#dispatch();
  }

  #fail(reason: DrError): void {
    this.#failure ??= reason;
    for (const waiting of [...this.#busy.values(), ...this.#queue]) waiting.reject(this.#failure);
    this.#busy.clear();
    this.#queue.length = 0;
  }
}
