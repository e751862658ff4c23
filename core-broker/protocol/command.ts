// One remoting command (request or response) as a plain value. The codec turns it to bytes and back;
// the hot path never builds one (see send-scanner.ts).

export interface RemotingCommand {
  /** Request or response code; private codes of ours are above 32767 (JSON headers only). */
  code: number;
  /** Language name as the peer sent it; we answer JAVA, which every client version knows. */
  language: string;
  /** MQVersion ordinal of the sender. */
  version: number;
  /** Correlates a response with its request, per sender. */
  opaque: number;
  /** Bit 0 response, bit 1 oneway. */
  flag: number;
  remark: string | undefined;
  /** Header fields; values always strings after decoding, whatever the peer sent. */
  ext: Record<string, string>;
  body: Buffer | undefined;
}

export const FLAG_RESPONSE = 1;
export const FLAG_ONEWAY = 2;

/** What callers write; the rest has defaults (JAVA, our version, next opaque, flag 0). */
export interface RequestInit {
  code: number;
  ext?: Record<string, string | number | boolean | undefined>;
  body?: Uint8Array | string;
}

/** What handlers answer; `code` 0 = SUCCESS. */
export interface ResponseInit {
  code: number;
  remark?: string;
  ext?: Record<string, string | number | boolean | undefined>;
  body?: Uint8Array | string;
}
