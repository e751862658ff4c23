// JSON-line logs: `time level module event msg` plus fields with units.
// `event` is stable and noun first ("link.paused"). warn = will retry; error = a human must act.
// Logs go to stderr, so that stdout stays the program's answer. No log per message at any level.
import { pino } from 'pino';
import { readEnv } from './env.ts';

/** A secret that never prints itself. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The clear text, for the one place that signs or encrypts. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '[redacted]';
  }
  toJSON(): string {
    return '[redacted]';
  }
}

export type LogFields = Record<string, unknown>;

export interface Log {
  debug(event: string, msg: string, fields?: LogFields): void;
  info(event: string, msg: string, fields?: LogFields): void;
  warn(event: string, msg: string, fields?: LogFields): void;
  error(event: string, msg: string, fields?: LogFields): void;
}

const root = pino(
  { level: readEnv('DR_LOG_LEVEL') ?? 'info', base: { pid: process.pid } },
  pino.destination({ dest: 2, sync: true }),
);

/** A log that names its module in every line. */
export function createLog(module: string): Log {
  const child = root.child({ module });
  return {
    debug: (event, msg, fields) => child.debug({ event, ...fields }, msg),
    info: (event, msg, fields) => child.info({ event, ...fields }, msg),
    warn: (event, msg, fields) => child.warn({ event, ...fields }, msg),
    error: (event, msg, fields) => child.error({ event, ...fields }, msg),
  };
}
