// Two regions whose brokers want signatures and whose servers all enforce TLS: the files an operator would
// write (docs/security.md), and clients with and without keys.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { RemotingClient, type TlsClientSettings } from '../../../core-broker/remoting/index.ts';
import { type AclFolder, ADMIN, aclFolder, signedBy, USER } from '../acl-files.ts';
import { type TlsFolder, tlsFolder } from '../tls-files.ts';
import { Stage } from './stage.ts';

export interface SecuredStage {
  stage: Stage;
  /** Servers are known by their certificate. */
  trust: TlsClientSettings;
  /** By TLS, signed by the account that may use the topic `orders`. */
  signed(): RemotingClient;
  /** By TLS without keys. */
  unsigned(): RemotingClient;
  /** Signed, in plain text. */
  plain(): RemotingClient;
}

export async function layOutSecured(name: string): Promise<SecuredStage> {
  const acl = aclFolder();
  const tls = tlsFolder();
  const { keyPath, certPath } = tls.pair('server');
  const server = [
    'tls.server.mode=enforcing',
    `tls.server.keyPath=${keyPath}`,
    `tls.server.certPath=${certPath}`,
  ];
  const client = [
    'tls.enable=true',
    'tls.client.authServer=true',
    `tls.client.trustCertPath=${certPath}`,
  ];
  const { credentialsFile, tlsFile } = writeIdentity(acl, tls, client);
  const stage = await Stage.layOut(name, {
    gateway: true,
    brokerLines: ['aclEnable=true', `aclPlainFile=${acl.file}`, ...server],
    drYaml: {
      credentialsFile,
      tlsFile,
      switchover: { maxWritePauseMs: 2_500, drainTimeoutMs: 2_400, callTimeoutMs: 5_000 },
    },
  });
  for (const region of ['east', 'west']) append(stage, `${region}/namesrv.properties`, server);
  append(stage, 'global/namesrv.properties', [...server, ...client]);
  append(stage, 'gateway/gateway.properties', server);
  stage.onClose(acl, async (each) => each.remove());
  stage.onClose(tls, async (each) => each.remove());
  const made = (identity: ConstructorParameters<typeof RemotingClient>[0]) =>
    stage.onClose(new RemotingClient(identity), async (each) => each.close());
  const byTls = { files: undefined, isAuthServer: true, trustPath: certPath };
  return {
    stage,
    trust: byTls,
    signed: () => made({ identity: { sign: signedBy(USER), tls: byTls } }),
    unsigned: () => made({ identity: { tls: byTls } }),
    plain: () => made({ identity: { sign: signedBy(USER) } }),
  };
}

function writeIdentity(acl: AclFolder, tls: TlsFolder, client: string[]) {
  const credentialsFile = path.join(acl.folder, 'credentials.yml');
  const { accessKey, secretKey } = ADMIN;
  fs.writeFileSync(credentialsFile, `accessKey: ${accessKey}\nsecretKey: ${secretKey}\n`);
  const tlsFile = path.join(tls.folder, 'client.properties');
  fs.writeFileSync(tlsFile, `${client.join('\n')}\n`);
  return { credentialsFile, tlsFile };
}

const append = (stage: Stage, file: string, lines: string[]): void =>
  fs.appendFileSync(path.join(stage.folder, file), `${lines.join('\n')}\n`);
