// Every frame of every client comes through here, in this order: ACL (if on), relay (if any), sends and pulls by their
// bytes, everything else decoded and given to its handler. One mapping of errors to response codes.
// A frame that is no frame closes its connection; nothing else of one client can touch another.
import { createLog, DrError } from '../base/index.ts';
import {
  decodeCommand,
  encodeCommand,
  isOneway,
  isResponse,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  SendRequestView,
  scanSendRequest,
} from '../protocol/index.ts';
import { type FrameListener, RequestDispatcher, type ServerConnection } from '../remoting/index.ts';
import type { Admission, AdmissionSlot } from './admission.ts';
import { allOf, type FrameGate } from './gates/index.ts';
import type { FrameDoor, RequestHandler, RequestTable } from './parts.ts';
import { type Session, sessionOf } from './replies/index.ts';
import { refusalOf } from './response-codes.ts';
import { isSendCode, refuseUnreadable, type SendPath } from './send/index.ts';
import { isParkedRequest } from './write-codes.ts';

const log = createLog('broker');

/** Codes Apache does not register on the VIP port. */
const NOT_ON_VIP: ReadonlySet<number> = new Set([
  RequestCode.PULL_MESSAGE,
  RequestCode.LITE_PULL_MESSAGE,
]);

/** Takes pulls by their bytes; false = not one of those. */
export interface PullPath {
  acceptScanned(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean;
}

type ConnectionListener = (connection: ServerConnection) => void;

export class BrokerDispatcher implements FrameListener, FrameDoor, RequestTable {
  readonly #admission: AdmissionSlot;
  readonly #handlers = new Map<number, RequestHandler>();
  readonly #generic: RequestDispatcher;
  readonly #view = new SendRequestView();
  readonly #connections = new Set<ServerConnection>();
  readonly #forgotten = new WeakSet<ServerConnection>();
  readonly #openListeners: ConnectionListener[] = [];
  readonly #closeListeners: ConnectionListener[] = [];
  readonly #forgetListeners: ConnectionListener[] = [];
  #sends: SendPath | undefined;
  #pulls: PullPath | undefined;
  readonly #gates: FrameGate[] = [];
  /** All gates as one; undefined while there is none: one branch per frame. */
  #guard: FrameGate | undefined;
  #vipPort = -1;
  /** Connections that came before the broker was ready; undefined = ready. */
  #early: ServerConnection[] | undefined = [];

  constructor(admission: AdmissionSlot) {
    this.#admission = admission;
    this.#generic = new RequestDispatcher({
      handlers: this.#handlers,
      toResponse: (error) => refusalOf(error, admission.current),
    });
  }

  on(code: number, handler: RequestHandler): void {
    this.#handlers.set(code, handler);
  }

  useSends(sends: SendPath): void {
    this.#sends = sends;
  }

  usePulls(pulls: PullPath): void {
    this.#pulls = pulls;
  }

  /** From now on every frame passes this gate first, behind those that stand already. */
  addGate(gate: FrameGate): void {
    this.#gates.push(gate);
    this.#guard = allOf([...this.#gates]);
  }

  removeGate(gate: FrameGate): void {
    const at = this.#gates.indexOf(gate);
    if (at >= 0) this.#gates.splice(at, 1);
    this.#guard = allOf([...this.#gates]);
  }

  useVipPort(port: number): void {
    this.#vipPort = port;
  }

  /** Lets clients in that connected while the store was being opened. */
  open(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const connection of early) {
      this.#tell(this.#openListeners, connection);
      connection.resume();
    }
  }

  connections(): Iterable<ServerConnection> {
    return this.#connections;
  }

  sessionOf(connection: ServerConnection): Session {
    return sessionOf(connection);
  }

  onOpen(connection: ServerConnection): void;
  onOpen(listener: ConnectionListener): void;
  onOpen(subject: ServerConnection | ConnectionListener): void {
    if (typeof subject === 'function') this.#openListeners.push(subject);
    else this.#opened(subject);
  }

  onClose(connection: ServerConnection): void;
  onClose(listener: ConnectionListener): void;
  onClose(subject: ServerConnection | ConnectionListener): void {
    if (typeof subject === 'function') this.#closeListeners.push(subject);
    else this.#closed(subject);
  }

  /** Told when a connection leaves the broker, closed or handed over: groups, locks, holds. */
  onForget(listener: ConnectionListener): void {
    this.#forgetListeners.push(listener);
  }

  forget(connection: ServerConnection): void {
    if (this.#forgotten.has(connection)) return;
    this.#forgotten.add(connection);
    this.#connections.delete(connection);
    this.#tell(this.#forgetListeners, connection);
  }

  inject(connection: ServerConnection, frame: Buffer): void {
    if (!connection.isOpen) return;
    try {
      this.onFrame(connection, frame, 0, frame.length);
    } catch (reason) {
      log.warn('frame.refused', 'a parked frame could not be handled', {
        error: DrError.from(reason).message,
      });
      connection.close();
    }
  }

  onFrame(connection: ServerConnection, chunk: Buffer, start: number, end: number): void {
    const guard = this.#guard;
    if (guard !== undefined && !guard.admits(connection, chunk, start, end)) return;
    const admission = this.#admission.current;
    const intercept = admission.intercept;
    if (intercept?.(connection, chunk, start, end)) return;
    const isOpen = admission.state === 'open';
    if (isOpen && this.#sends?.acceptKnown(connection, chunk, start, end)) return;
    if (scanSendRequest(chunk, start, end, this.#view)) {
      if (isOpen) this.#sends?.accept(connection, chunk, this.#view);
      else this.#gate(connection, chunk.subarray(start, end), this.#view);
      return;
    }
    if (this.#acceptPull(connection, chunk, start, end)) return;
    const request = decodeCommand(chunk, start, end);
    if (isResponse(request)) return;
    if (isSendCode(request.code))
      this.#unusualSend(connection, request, chunk.subarray(start, end));
    else this.#request(connection, request, chunk.subarray(start, end));
  }

  onFrames(connection: ServerConnection, chunk: Buffer, start: number, end: number): number {
    const { state, intercept } = this.#admission.current;
    if (this.#guard !== undefined || intercept !== undefined || state !== 'open') return start;
    return this.#sends?.acceptRun(connection, chunk, start, end) ?? start;
  }

  #acceptPull(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    if (this.#pulls === undefined || connection.localPort === this.#vipPort) return false;
    return this.#pulls.acceptScanned(connection, chunk, start, end);
  }

  onBatchEnd(): void {
    this.#sends?.endBatch();
  }

  #request(connection: ServerConnection, request: RemotingCommand, frame: Buffer): void {
    if (isParkedRequest(request.code) && this.#admission.current.state === 'parked') {
      const { opaque } = request;
      this.#gate(connection, frame, { opaque, isOneway: isOneway(request) });
      return;
    }
    if (request.code === RequestCode.HEART_BEAT) {
      sessionOf(connection).lastHeartbeat = Buffer.from(frame);
    }
    if (connection.localPort === this.#vipPort && NOT_ON_VIP.has(request.code)) {
      if (isOneway(request)) return;
      connection.respond(request.opaque, {
        code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        remark: ` request type ${request.code} not supported`,
      });
      return;
    }
    this.#generic.dispatch(connection, request, frame.length);
  }

  /** Legal but odd headers (escapes, bare numbers): written again in the plain form and scanned once more. */
  #unusualSend(connection: ServerConnection, request: RemotingCommand, frame: Buffer): void {
    const admission = this.#admission.current;
    const plain = encodeCommand(request);
    const view = this.#view;
    if (!scanSendRequest(plain, 0, plain.length, view)) {
      if (isOneway(request)) return;
      connection.respond(request.opaque, unreadable(request, admission));
    } else if (admission.state === 'open') this.#sends?.accept(connection, plain, view);
    else this.#gate(connection, frame, view);
  }

  /** Not open: the frame waits or is refused. */
  #gate(
    connection: ServerConnection,
    frame: Buffer,
    request: { opaque: number; isOneway: boolean },
  ): void {
    const { opaque, isOneway: isSilent } = request;
    const admission = this.#admission.current;
    if (admission.state === 'parked' && admission.park(connection, Buffer.from(frame))) return;
    if (!isSilent) connection.respond(opaque, admission.refusal());
  }

  #opened(connection: ServerConnection): void {
    this.#connections.add(connection);
    if (this.#early) {
      connection.pause();
      this.#early.push(connection);
    } else this.#tell(this.#openListeners, connection);
  }

  #closed(connection: ServerConnection): void {
    const wasForgotten = this.#forgotten.has(connection);
    this.#generic.onClose(connection);
    this.forget(connection);
    if (!wasForgotten) this.#tell(this.#closeListeners, connection);
  }

  #tell(listeners: ConnectionListener[], connection: ServerConnection): void {
    for (const listener of listeners) listener(connection);
  }
}

function unreadable(request: RemotingCommand, admission: Admission) {
  try {
    return refuseUnreadable(request.ext, request.code !== RequestCode.SEND_MESSAGE);
  } catch (reason) {
    return refusalOf(reason, admission);
  }
}
