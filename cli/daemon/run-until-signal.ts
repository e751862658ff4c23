// The life of a server process: start, say that it is ready, run until SIGTERM or SIGINT, stop cleanly.
// A second signal ends at once. A part that dies ends the process: a daemon never runs on without one.
import { createLog, DrError, type LogFields, type Service } from '../../core-broker/base/index.ts';
import { EXIT } from '../exit-status.ts';

const log = createLog('daemon');

export interface ServerProcess extends Service {
  /** Facts for the `server.ready` line: addresses, role. */
  facts(): LogFields;
}

/**
 * Runs one server process to its end.
 * @returns exit status: 0 after a clean stop, 130 when interrupted twice
 */
export async function runUntilSignal(server: ServerProcess): Promise<number> {
  const ended = Promise.withResolvers<number>();
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return process.exit(EXIT.INTERRUPTED);
    stopping = true;
    log.info('server.stopping', `stopping on ${signal}`, { signal });
    server.stop().then(
      () => ended.resolve(EXIT.DONE),
      (reason: unknown) => ended.reject(reason),
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('unhandledRejection', (reason) => die(reason));
  await startOrEnd(server);
  if (!stopping) log.info('server.ready', 'ready', server.facts());
  const status = await ended.promise;
  log.info('server.stopped', 'stopped cleanly');
  return status;
}

/** How long the parts of a server that could not start may take to let go. */
const GIVE_UP_MS = 3_000;

/**
 * A server that started half-way must not stay: its supervisor would see a live process.
 * @throws what start() threw; the process ends soon after, whatever its parts still hold
 */
async function startOrEnd(server: ServerProcess): Promise<void> {
  try {
    await server.start();
  } catch (reason) {
    setTimeout(() => process.exit(), GIVE_UP_MS).unref();
    server.stop().catch((failure: unknown) => {
      log.warn('server.stop-failed', DrError.from(failure).message);
    });
    throw reason;
  }
}

/** Ends the process because a part died; the log says which and why. */
export function die(reason: unknown, part = 'unknown part'): never {
  const failure = DrError.from(reason);
  log.error('server.died', `${part} died: ${failure.message}`, {
    part,
    code: failure.code,
    stack: failure.stack,
  });
  process.exit(EXIT.UNEXPECTED);
}
