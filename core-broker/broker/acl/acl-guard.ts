// The door keeper of a broker with aclEnable=true: every frame of every client passes here before any of
// the faster roads sees it. A broker without ACL has no guard, and pays one branch per frame.
// Order: answers to requests of ours and DR control requests (signed on their own) pass; everything else
// is decoded, judged by the table in force and let through or refused with code 1, as Apache refuses.
// Why decoded and not scanned: a signature covers every field, known or not, and differs per message;
// decoding and one HMAC cost a few microseconds, and what was judged is what the sender signed.
import { counter, createLog } from '../../base/index.ts';
import { decodeCommand, isOneway, isResponse, ResponseCode } from '../../protocol/index.ts';
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
    const request = decodeCommand(chunk, start, end);
    if (isResponse(request) || isDrCode(request.code)) return true;
    const refusal = this.#table().check(request, connection.remoteAddress);
    if (refusal === undefined) return true;
    refusals.inc({ reason: refusal.reason });
    this.#note(connection, request.code, refusal);
    if (!isOneway(request)) {
      const remark = `${EXCEPTION}: ${refusal.remark}`;
      connection.respond(request.opaque, { code: ResponseCode.SYSTEM_ERROR, remark });
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
