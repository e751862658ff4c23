// A key pair as bytes, checked before anybody serves with it: both files readable, the key opens with its
// password, the certificate belongs to the key and is valid now.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { DrError } from '../../base/index.ts';
import type { KeyFiles } from './tls-settings.ts';

export interface KeyPair {
  key: Buffer;
  cert: Buffer;
  passphrase?: string;
}

/**
 * Reads and checks a key pair.
 * @param nowMs undefined = the validity does not count (the first start: old is better than none)
 * @throws DrError CONFIG naming the file, never its content
 */
export function readKeyPair(files: KeyFiles, nowMs: number | undefined): KeyPair {
  const key = readFile(files.keyPath);
  const cert = readFile(files.certPath);
  const passphrase = files.password?.reveal();
  const pair = { key, cert, ...(passphrase === undefined ? {} : { passphrase }) };
  const certificate = attempt(
    files.certPath,
    'is no certificate in PEM',
    () => new X509Certificate(cert),
  );
  const secret = attempt(files.keyPath, 'is no key in PEM, or its password is wrong', () =>
    createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) }),
  );
  if (!certificate.checkPrivateKey(secret)) {
    throw new DrError('CONFIG', `${files.certPath}: is not the certificate of ${files.keyPath}`);
  }
  if (nowMs !== undefined && !isValidAt(certificate, nowMs)) {
    const { validFrom, validTo } = certificate;
    throw new DrError('CONFIG', `${files.certPath}: valid from ${validFrom} to ${validTo} only`);
  }
  return pair;
}

/** True when the first certificate of the file may be used at this time. */
export function isValidNow(cert: Buffer, nowMs: number): boolean {
  return isValidAt(new X509Certificate(cert), nowMs);
}

const isValidAt = (certificate: X509Certificate, nowMs: number): boolean =>
  Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo);

/** @throws DrError CONFIG */
export function readFile(file: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new DrError('CONFIG', `${file}: cannot be read (${why})`, { cause });
  }
}

function attempt<T>(file: string, problem: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new DrError('CONFIG', `${file}: ${problem}`, { cause });
  }
}
