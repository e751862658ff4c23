// The door keeper of a broker with aclEnable=true: every frame of every client passes here before any of
// the faster roads sees it. A broker without ACL has no guard, and pays one branch per frame.
// Order: white addresses pass; answers to requests of ours and DR control requests (signed on their own)
// pass; everything else is judged by the table in force and let through or refused with code 1, as Apache
// refuses. A signature covers every field, known or not, and differs per message: plain sends are joined
// from their bytes (protocol/scan/signed-send.ts), all others decoded.
// Invariant: what was judged is what the faster roads read, because both take it from the same scan.
import { counter, createLog } from '../../base/index.ts';
import {
  decodeCommand,
  isOneway,
  isResponse,
  ResponseCode,
  SendRequestView,
  SignedSend,
  scanSendRequest,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { AclRefusal, AclTable } from './acl-table.ts';
import { isDrCode } from './permissions.ts';

const log = createLog('acl');
const LOG_EVERY_MS = 10_000;
/** Java clients and mqadmin know refusals by this name. */
const EXCEPTION = 'org.apache.rocketmq.acl.common.AclException';

const refusals = counter({
  name: 'dr_acl_refused_total',
  help: 'requests refused by ACL',
  labelNames: ['reason'],
});

export class AclGuard {
  readonly #table: () => AclTable;
  readonly #view = new SendRequestView();
  readonly #signed = new SignedSend();
  #loggedAtMs = Number.NEGATIVE_INFINITY;

  constructor(table: () => AclTable) {
    this.#table = table;
  }

  /**
   * Judges the frame [start, end); a refused one is answered here.
   * @returns false when the frame must go no further
   * @throws DrError PROTOCOL when it is no frame: the connection closes
   */
  admits(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const table = this.#table();
    const address = connection.remoteAddress;
    if (table.isWhite(address)) return true;
    const view = this.#view;
    if (scanSendRequest(chunk, start, end, view) && this.#signed.read(chunk, view)) {
      const refusal = table.checkSend(this.#signed, { chunk, view }, address);
      return refusal === undefined || this.#refuse(connection, view, refusal);
    }
    const request = decodeCommand(chunk, start, end);
    if (isResponse(request) || isDrCode(request.code)) return true;
    const refusal = table.check(request, address);
    if (refusal === undefined) return true;
    const { code, opaque } = request;
    return this.#refuse(connection, { code, opaque, isOneway: isOneway(request) }, refusal);
  }

  #refuse(
    connection: ServerConnection,
    { code, opaque, isOneway: isSilent }: { code: number; opaque: number; isOneway: boolean },
    refusal: AclRefusal,
  ): false {
    refusals.inc({ reason: refusal.reason });
    this.#note(connection, code, refusal);
    if (!isSilent) {
      const remark = `${EXCEPTION}: ${refusal.remark}`;
      connection.respond(opaque, { code: ResponseCode.SYSTEM_ERROR, remark });
    }
    return false;
  }

  /** One line now and then: strangers must not fill the log. */
  #note(connection: ServerConnection, code: number, { reason }: AclRefusal): void {
    const nowMs = performance.now();
    if (nowMs - this.#loggedAtMs < LOG_EVERY_MS) return;
    this.#loggedAtMs = nowMs;
    const fields = { peer: connection.remoteAddress, code, reason };
    log.warn('acl.refusal', 'a request was refused; more of them are only counted', fields);
  }
}
