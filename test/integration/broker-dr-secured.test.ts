// A planned switch between two brokers that want signatures and TLS: control requests have a signature
// of their own, everything else carries the keys of this process, and the relay speaks TLS upstream.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPeerClient } from '../../core-broker/client/index.ts';
import { DR_CODE, type SealedTailToken } from '../../core-broker/protocol/index.ts';
import { RemotingClient, setProcessIdentity } from '../../core-broker/remoting/index.ts';
import { type AclFolder, ADMIN, aclFolder, signedBy } from '../support/acl-files.ts';
import { RegionPair, sendRequest } from '../support/region-pair.ts';
import { type TlsFolder, tlsFolder } from '../support/tls-files.ts';

const OP = { opId: 'op-1' };
const ANY_SERVER = { files: undefined, isAuthServer: false, trustPath: undefined };
let acl: AclFolder;
let files: TlsFolder;
let pair: RegionPair;

beforeEach(async () => {
  acl = aclFolder();
  files = tlsFolder();
  const { keyPath, certPath } = files.pair('server');
  setProcessIdentity({
    sign: signedBy(ADMIN),
    tls: { ...ANY_SERVER, isAuthServer: true, trustPath: certPath },
  });
  pair = await RegionPair.start({
    values: {
      aclEnable: true,
      aclPlainFile: acl.file,
      'tls.server.mode': 'enforcing',
      'tls.server.keyPath': keyPath,
      'tls.server.certPath': certPath,
    },
  });
});
afterEach(async () => {
  await pair.stop();
  setProcessIdentity({});
  acl.remove();
  files.remove();
});

test('fence, seal, promote and relay work signed and by TLS; strangers get nothing on either side', async () => {
  expect(pair.status('east').accounts).toMatch(/^[0-9a-f]{64}$/);
  expect(pair.status('east').accounts).toBe(pair.status('west').accounts);
  for (let i = 0; i < 20; i++) expect((await pair.send(pair.east.address, `m${i} `)).code).toBe(0);
  await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
  const token = await pair.ask<SealedTailToken>('east', DR_CODE.SEAL, OP);
  await pair.west.link?.copyTo(token.logEnd);
  await pair.ask('west', DR_CODE.LINK_HALT, OP);
  await pair.ask('west', DR_CODE.FINAL_SYNC, OP);
  const parked = pair.send(pair.east.address, 'p0 parked');
  await pair.until('east', (status) => status.parkedSends === 1);
  const fromEpoch = pair.status('west').epoch;
  await pair.ask('west', DR_CODE.PROMOTE, { ...OP, fromEpoch, token, forced: false });
  const target = { target: pair.west.address, region: 'west', epoch: 2 };
  await pair.ask('east', DR_CODE.RELAY_START, { ...OP, ...target });
  expect((await parked).code).toBe(0);
  const late = createPeerClient();
  expect((await pair.send(pair.east.address, 'p1 by the relay', { peer: late })).code).toBe(0);
  late.close();
  const before = pair.status('west').maxOffset;
  for (const address of [pair.east.address, pair.west.address]) {
    const unsigned = new RemotingClient({ identity: { tls: ANY_SERVER } });
    const answer = await unsigned.invoke(address, sendRequest('x'), 20_000);
    expect(answer.remark).toMatch(/AclException: No accessKey/);
    const forged = { code: DR_CODE.UNSEAL, body: JSON.stringify(OP) };
    expect((await unsigned.invoke(address, forged, 20_000)).code).toBe(16);
    expect((await unsigned.invoke(address, signedBy(ADMIN)(forged), 20_000)).code).toBe(16);
    unsigned.close();
    const plain = new RemotingClient({ identity: { sign: signedBy(ADMIN) } });
    await expect(plain.invoke(address, sendRequest('x'), 20_000)).rejects.toMatchObject({
      code: 'NETWORK',
    });
    plain.close();
  }
  expect(pair.status('west').maxOffset).toBe(before);
});
