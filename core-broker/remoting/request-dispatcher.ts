// Requests outside the hot path: frame -> command -> handler by code -> answer.
// Rules: an unknown code answers 3, a DrError is mapped by the caller's table, any other exception
// answers 1; a oneway request is never answered. Handlers of one connection run concurrently; input
// pauses while too many bytes of its requests are unanswered.
import { createLog, DrError, LIMITS } from '../base/index.ts';
import {
  decodeCommand,
  isOneway,
  isResponse,
  type RemotingCommand,
  ResponseCode,
  type ResponseInit,
} from '../protocol/index.ts';
import type { FrameListener, ServerConnection } from './door.ts';

const log = createLog('remoting');

/** What a handler gives back; undefined = no answer from here (oneway, or answered later by itself). */
export type HandlerResult = ResponseInit | undefined;
export type RequestHandler = (
  request: RemotingCommand,
  connection: ServerConnection,
) => HandlerResult | Promise<HandlerResult>;

export interface RequestDispatcherOptions {
  handlers: ReadonlyMap<number, RequestHandler>;
  /** The one mapping of our errors to response codes. */
  toResponse: (error: DrError, request: RemotingCommand) => ResponseInit;
  /** Unanswered request bytes of one connection above which its input pauses. */
  inflightBytesMax?: number;
}

export class RequestDispatcher implements FrameListener {
  readonly #options: RequestDispatcherOptions;
  readonly #inflightBytesMax: number;
  /** Bytes of unanswered requests; absent = none. */
  readonly #inflight = new Map<ServerConnection, number>();
  readonly #paused = new Set<ServerConnection>();

  constructor(options: RequestDispatcherOptions) {
    this.#options = options;
    this.#inflightBytesMax = options.inflightBytesMax ?? LIMITS.connectionInflightBytesMax;
  }

  /** @throws DrError PROTOCOL when the frame cannot be decoded: the connection closes */
  onFrame(connection: ServerConnection, chunk: Buffer, start: number, end: number): void {
    const request = decodeCommand(chunk, start, end);
    // A late answer to a request of ours: nobody waits for it any more.
    if (isResponse(request)) return;
    this.dispatch(connection, request, end - start);
  }

  onClose(connection: ServerConnection): void {
    this.#inflight.delete(connection);
    this.#paused.delete(connection);
  }

  /** Runs one decoded request. @param sizeBytes what it counts against the in-flight bound */
  dispatch(connection: ServerConnection, request: RemotingCommand, sizeBytes: number): void {
    const handler = this.#options.handlers.get(request.code);
    if (!handler) {
      const remark = ` request type ${request.code} not supported`;
      this.#answer(connection, request, {
        code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        remark,
      });
      return;
    }
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = handler(request, connection);
    } catch (reason) {
      this.#answer(connection, request, this.#errorResponse(reason, request));
      return;
    }
    if (!(result instanceof Promise)) {
      this.#answer(connection, request, result);
      return;
    }
    connection.unanswered++;
    this.#count(connection, sizeBytes);
    result
      .catch((reason: unknown) => this.#errorResponse(reason, request))
      .then((response) => this.#answer(connection, request, response))
      .catch((reason: unknown) => {
        const problem = DrError.from(reason).message;
        log.error('request.unanswered', 'an answer could not be written', {
          code: request.code,
          problem,
        });
        connection.close();
      })
      .finally(() => {
        connection.unanswered--;
        this.#count(connection, -sizeBytes);
      });
  }

  #answer(connection: ServerConnection, request: RemotingCommand, response: HandlerResult): void {
    if (response === undefined || isOneway(request) || !connection.isOpen) return;
    connection.respond(request.opaque, response);
  }

  #errorResponse(reason: unknown, request: RemotingCommand): ResponseInit {
    const error = DrError.from(reason);
    if (error.code !== 'UNEXPECTED') return this.#options.toResponse(error, request);
    const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
    log.error('request.failed', error.message, { code: request.code, stack });
    return { code: ResponseCode.SYSTEM_ERROR, remark: error.message };
  }

  #count(connection: ServerConnection, change: number): void {
    if (!connection.isOpen) return;
    const bytes = (this.#inflight.get(connection) ?? 0) + change;
    if (bytes > 0) this.#inflight.set(connection, bytes);
    else this.#inflight.delete(connection);
    if (bytes > this.#inflightBytesMax && !this.#paused.has(connection)) {
      this.#paused.add(connection);
      connection.pause();
    } else if (bytes <= this.#inflightBytesMax / 2 && this.#paused.delete(connection)) {
      connection.resume();
    }
  }
}
