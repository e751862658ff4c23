// The counter for signed requests: checks the signature, parses the body once, runs changes one at a
// time and turns errors into the response codes of dr-control.ts. What a request does is elsewhere.
// Invariant: no byte of an unsigned request is interpreted beyond its header. Source: switchover "Trust".
import { createLog, DrError, type Secret } from '../../base/index.ts';
import {
  DR_CODE,
  DR_FENCED,
  DR_PROOF_FAILED,
  DR_WRONG_STATE,
  DrRequestVerifier,
  type DrStatus,
  type RemotingCommand,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { BrokerParts } from '../parts.ts';
import { Serial } from './serial.ts';

const log = createLog('dr');

type Body = Record<string, unknown>;
/** What a field of a body must be. */
type FieldKind = 'string' | 'number' | 'boolean' | 'object' | 'array' | 'object-or-null';
export type Shape = Record<string, FieldKind>;

export interface DeskOptions {
  parts: BrokerParts;
  secret: Secret;
  status(): DrStatus;
  /** Told of every connection that carries signed requests. */
  onControl(connection: ServerConnection): void;
}

export class ControlDesk {
  readonly #options: DeskOptions;
  readonly #verifier: DrRequestVerifier;
  readonly #changes = new Serial();

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#verifier = new DrRequestVerifier(options.secret);
  }

  /** A request that changes nothing; runs at once. */
  onRead<T>(
    code: number,
    shape: Shape,
    answer: (body: T, connection: ServerConnection) => object | Promise<object>,
  ): void {
    this.#on(code, shape, async (body, connection) => answer(body as T, connection));
  }

  /** A change; never runs beside another one. */
  onChange<T>(code: number, shape: Shape, change: (body: T) => object | Promise<object>): void {
    const withOp: Shape = { opId: 'string', ...shape };
    this.#on(code, withOp, (body) => this.#changes.run(async () => change(body as T)));
  }

  /** A gateway takes a client back: answered by whoever gives the connection up, refused here. */
  onRelease(release: (connection: ServerConnection) => void): void {
    const { parts } = this.#options;
    parts.requests.on(DR_CODE.RELEASE, (request, connection) => {
      try {
        this.#verifier.verify(request, parts.clock.nowMs());
      } catch (reason) {
        return this.#failure(request, DrError.from(reason), connection);
      }
      release(connection);
      return undefined;
    });
  }

  #on(
    code: number,
    shape: Shape,
    answer: (body: unknown, connection: ServerConnection) => Promise<object>,
  ): void {
    this.#options.parts.requests.on(code, async (request, connection) => {
      try {
        this.#verifier.verify(request, this.#options.parts.clock.nowMs());
        this.#options.onControl(connection);
        const result = await answer(parseBody(request, shape), connection);
        return { code: ResponseCode.SUCCESS, body: JSON.stringify(result) };
      } catch (reason) {
        return this.#failure(request, DrError.from(reason), connection);
      }
    });
  }

  #failure(request: RemotingCommand, reason: DrError, connection: ServerConnection): ResponseInit {
    const code = RESPONSE_OF[reason.code] ?? ResponseCode.SYSTEM_ERROR;
    log.warn('control.refused', reason.message, {
      request: NAME_OF.get(request.code),
      code,
      peer: connection.remoteAddress,
      ...(reason.code === 'UNEXPECTED' ? { stack: reason.stack } : {}),
    });
    const remark = reason.message;
    if (code !== DR_FENCED) return { code, remark };
    return { code, remark, body: JSON.stringify(this.#options.status()) };
  }
}

const RESPONSE_OF: Partial<Record<DrError['code'], number>> = {
  FENCED: DR_FENCED,
  VERIFY_FAILED: DR_PROOF_FAILED,
  REFUSED: DR_WRONG_STATE,
  NOT_MASTER: DR_WRONG_STATE,
  AUTH: ResponseCode.NO_PERMISSION,
  BUSY: ResponseCode.SYSTEM_BUSY,
};

const NAME_OF: ReadonlyMap<number, string> = new Map(
  Object.entries(DR_CODE).map(([name, code]) => [code, name]),
);

/** @throws DrError USAGE naming the field that is missing or of another type */
function parseBody(request: RemotingCommand, shape: Shape): Body {
  let body: unknown;
  try {
    body = JSON.parse(request.body?.toString('utf8') || '{}');
  } catch (cause) {
    throw new DrError('USAGE', 'the body is not JSON', { cause });
  }
  if (typeof body !== 'object' || body === null) throw new DrError('USAGE', 'no JSON object');
  const fields = body as Body;
  for (const [name, kind] of Object.entries(shape)) {
    if (!isOfKind(fields[name], kind)) throw new DrError('USAGE', `field ${name} must be ${kind}`);
  }
  return fields;
}

function isOfKind(value: unknown, kind: FieldKind): boolean {
  if (kind === 'array') return Array.isArray(value);
  if (kind === 'object-or-null') return typeof value === 'object';
  if (kind === 'object') return typeof value === 'object' && value !== null;
  if (kind === 'string') return typeof value === 'string' && value !== '';
  if (kind === 'number') return typeof value === 'number' && Number.isFinite(value);
  return typeof value === kind;
}
