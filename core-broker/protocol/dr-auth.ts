// Signing and checking of DR control requests, as the head of dr-control.ts says.
//   mac = hex HMAC-SHA256(secret, code "\n" opId "\n" nonce "\n" sentAtMs "\n" body)
// Replay: a nonce is remembered as long as its clock window could still accept it. The memory is bounded;
// when it is full the request is refused rather than an old nonce forgotten inside its window.
// Time and randomness come from the caller.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { DrError, type Secret } from '../base/index.ts';
import type { RemotingCommand, RequestInit } from './command.ts';

export const DR_CLOCK_WINDOW_MS = 5 * 60_000;
const NONCES_MAX = 100_000;

export interface DrSignInput {
  code: number;
  body: string;
  opId: string;
  /** At least 16 random bytes as text, never used twice. */
  nonce: string;
  nowMs: number;
}

/** The request to send; `body` goes out byte for byte as it was signed. */
export function signDrRequest(secret: Secret, input: DrSignInput): RequestInit {
  const { code, body, opId, nonce } = input;
  const sentAtMs = String(input.nowMs);
  const mac = macOf(secret, [String(code), opId, nonce, sentAtMs], body).toString('hex');
  return { code, body, ext: { nonce, opId, sentAtMs, mac } };
}

/**
 * Checks requests that arrive; one per receiving process, so that a nonce counts once for all ports.
 */
export class DrRequestVerifier {
  readonly #secret: Secret;
  /** Nonce -> last moment at which it could be replayed; insertion order is nearly expiry order. */
  readonly #seen = new Map<string, number>();
  readonly #noncesMax: number;

  constructor(secret: Secret, noncesMax: number = NONCES_MAX) {
    this.#secret = secret;
    this.#noncesMax = noncesMax;
  }

  /**
   * Accepts a request once.
   * @returns the opId that was signed
   * @throws DrError AUTH: wrong mac, clock off, nonce repeated, missing field; BUSY: too many nonces
   */
  verify(request: RemotingCommand, nowMs: number): string {
    const { nonce, opId, sentAtMs, mac } = request.ext;
    if (!nonce || opId === undefined || !sentAtMs || !mac) {
      throw new DrError('AUTH', 'the request is not signed');
    }
    const parts = [String(request.code), opId, nonce, sentAtMs];
    const expected = macOf(this.#secret, parts, request.body ?? '');
    // Order: the mac first, so that strangers learn nothing and cannot fill the nonce memory.
    if (!sameMac(expected, mac)) throw new DrError('AUTH', 'the signature of the request is wrong');
    const sentAt = Number(sentAtMs);
    if (!(Math.abs(nowMs - sentAt) <= DR_CLOCK_WINDOW_MS)) {
      throw new DrError('AUTH', 'the clocks of the two sides differ by more than 5 minutes', {
        hint: 'synchronise the clocks of both regions',
        context: { offMs: nowMs - sentAt },
      });
    }
    this.#remember(nonce, sentAt + DR_CLOCK_WINDOW_MS, nowMs);
    return opId;
  }

  #remember(nonce: string, expiresMs: number, nowMs: number): void {
    if (this.#seen.has(nonce)) throw new DrError('AUTH', 'the request was seen before');
    if (this.#seen.size >= this.#noncesMax) this.#forgetExpired(nowMs);
    if (this.#seen.size >= this.#noncesMax) {
      throw new DrError('BUSY', 'too many control requests within the clock window');
    }
    this.#seen.set(nonce, expiresMs);
  }

  #forgetExpired(nowMs: number): void {
    for (const [nonce, expiresMs] of this.#seen) {
      if (expiresMs < nowMs) this.#seen.delete(nonce);
    }
  }
}

function macOf(secret: Secret, parts: string[], body: string | Buffer): Buffer {
  return createHmac('sha256', secret.reveal())
    .update(`${parts.join('\n')}\n`)
    .update(body)
    .digest();
}

function sameMac(expected: Buffer, hex: string): boolean {
  const given = Buffer.from(hex, 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
