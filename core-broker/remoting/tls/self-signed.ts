// A certificate nobody can trust, for tests and for clients that check nothing (Apache's test mode).
// An X.509 v3 certificate is a few nested DER values; P-256 key, ECDSA with SHA-256, valid for ten years.
//   Certificate ::= SEQUENCE { tbs, algorithm, BIT STRING signature }
//   tbs ::= SEQUENCE { [0] version 2, serial, algorithm, issuer, validity, subject, public key }
// Source: RFC 5280.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyPair } from './key-pair.ts';

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const GENERAL_TIME = 0x18;
const VERSION_TAG = 0xa0;
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('550403', 'hex');
const YEARS_10_MS = 10 * 365 * 86_400_000;
const DAY_MS = 86_400_000;

function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function nameOf(text: string): Buffer {
  const pair = der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, Buffer.from(text)));
  return der(SEQUENCE, der(SET, pair));
}

function timeOf(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return der(GENERAL_TIME, Buffer.from(`${text}Z`));
}

/** Makes a new one. @param name common name of subject and issuer */
export function selfSigned(name: string, nowMs: number): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const algorithm = der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const tbs = der(
    SEQUENCE,
    der(VERSION_TAG, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, serial),
    algorithm,
    nameOf(name),
    der(SEQUENCE, timeOf(nowMs - DAY_MS), timeOf(nowMs + YEARS_10_MS)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', tbs, privateKey);
  const whole = der(SEQUENCE, tbs, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  return {
    key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    cert: pem(whole),
  };
}

function pem(bytes: Buffer): Buffer {
  const lines = bytes.toString('base64').replace(/.{64}/g, '$&\n');
  return Buffer.from(`-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`);
}
