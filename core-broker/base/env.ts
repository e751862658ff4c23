// The only reader of process.env. Every variable the program knows is in this table. And of what the
// system says about the user who runs it.
import * as os from 'node:os';

/** Known variables: name -> what it does. */
export const ENVIRONMENT = {
  DR_LOG_LEVEL: 'log level: debug, info (default), warn, error, silent',
  DR_CONFIG: 'default for -c of the operator commands',
  NAMESRV_ADDR: 'name servers of a broker whose file names none, as Apache reads it',
  DR_CREDENTIALS_FILE:
    'file like tools.yml that signs our requests when the configuration names none',
  DR_TLS_FILE: 'file with tls.* keys of our calls when the configuration names none',
  DR_ACCESS_KEY: 'access key that signs our requests to brokers with ACL',
  DR_SECRET_KEY: 'its secret key; used when no credentials file is configured',
  NO_COLOR: 'no colours in tables',
  AWS_ACCESS_KEY_ID: 'object storage key when the configuration names none',
  AWS_SECRET_ACCESS_KEY: 'object storage secret when the configuration names none',
} as const;

/** Value of one known variable; undefined when absent or empty. */
export function readEnv(name: keyof typeof ENVIRONMENT): string | undefined {
  const value = process.env[name];
  return value === '' ? undefined : value;
}

/**
 * Home folder of the user; undefined for one without HOME and without a line in passwd, as containers
 * that run under any user id have it. Node throws there.
 */
export function homeFolder(): string | undefined {
  try {
    return os.homedir() || undefined;
  } catch (reason) {
    if ((reason as { code?: string }).code === 'ERR_SYSTEM_ERROR') return undefined;
    throw reason;
  }
}
