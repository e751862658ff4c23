// The signed content of a send from its bytes against the decoded request: whenever the bytes are taken,
// the content is the same; and a signed send that was damaged anywhere is not let in by either road.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Secret } from '../../core-broker/base/index.ts';
import { readAclFile } from '../../core-broker/broker/acl/acl-file.ts';
import { AclGuard } from '../../core-broker/broker/acl/acl-guard.ts';
import { AclTable } from '../../core-broker/broker/acl/acl-table.ts';
import {
  aclKey,
  aclSigner,
  decodeCommand,
  encodeRequest,
  hasAclSignature,
  SendRequestView,
  SignedSend,
  scanSendRequest,
} from '../../core-broker/protocol/index.ts';
import type { ServerConnection } from '../../core-broker/remoting/index.ts';

const KEYS = { accessKey: 'program', secretKey: 'program-secret' };
const FILE = `accounts: [{accessKey: program, secretKey: program-secret, topicPerms: [orders=PUB]}]`;
const table = new AclTable([readAclFile('a.yml', FILE, 0)]);
const guard = new AclGuard(() => table);
const sign = aclSigner({ accessKey: KEYS.accessKey, secretKey: new Secret(KEYS.secretKey) });
const key = aclKey(KEYS.secretKey);

const word = fc.string({ unit: 'grapheme', maxLength: 10 });
const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,9}$/),
  fc.constantFrom('_UNIQUE_KEY_QUERY', 'SecurityToken', 'OnsChannel', '1', 'ü'),
);
const send = fc
  .record({
    code: fc.constantFrom(310, 320),
    topic: fc.constantFrom('orders', 'other', '%RETRY%g', 'RMQ_SYS_TRACE_TOPIC'),
    properties: word,
    more: fc.dictionary(name, word, { maxKeys: 5 }),
    body: fc.uint8Array({ maxLength: 40 }),
    header: fc.constantFrom('JSON' as const, 'ROCKETMQ' as const),
  })
  .map(({ code, topic, properties, more, body, header }) => {
    const own = {
      a: 'p',
      b: topic,
      c: 'TBW102',
      d: 4,
      e: 0,
      f: 0,
      g: 1,
      h: 0,
      i: properties,
      k: false,
    };
    return encodeRequest(sign({ code, ext: { ...more, ...own }, body }), 7, { header });
  });

const view = new SendRequestView();
const signed = new SignedSend();

/** The judgement of the guard: undefined = let in, else the remark. */
function judge(frame: Buffer): string | undefined {
  let remark: string | undefined;
  const connection = {
    remoteAddress: '192.0.2.1',
    respond: (_: number, answer: { remark?: string }) => {
      remark = answer.remark?.replace(/^.*AclException: /, '');
    },
  } as unknown as ServerConnection;
  return guard.admits(connection, frame, 0, frame.length) ? undefined : (remark ?? 'silent');
}

test('bytes and objects give one content and one judgement', () => {
  let taken = 0;
  fc.assert(
    fc.property(send, (frame) => {
      const request = decodeCommand(frame, 0, frame.length);
      expect(hasAclSignature(key, request)).toBe(true);
      expect(judge(frame)).toBe(table.check(request, '192.0.2.1')?.remark);
      if (!scanSendRequest(frame, 0, frame.length, view) || !signed.read(frame, view)) return;
      taken++;
      const names = Object.keys(request.ext).sort();
      const values = names.filter((each) => each !== 'Signature').map((each) => request.ext[each]);
      const content = Buffer.concat([
        Buffer.from(values.join('')),
        request.body ?? Buffer.alloc(0),
      ]);
      expect(signed.content.subarray(0, signed.length)).toEqual(content);
    }),
    { numRuns: 3_000 },
  );
  expect(taken).toBeGreaterThan(500);
});

test('a damaged send is judged alike by both roads', () => {
  const damage = fc.record({ at: fc.nat(600), byte: fc.nat(255) });
  fc.assert(
    fc.property(send, fc.array(damage, { minLength: 1, maxLength: 3 }), (frame, damages) => {
      const bytes = Buffer.from(frame);
      for (const { at, byte } of damages) if (at > 8 && at < bytes.length) bytes[at] = byte;
      let request: ReturnType<typeof decodeCommand>;
      try {
        request = decodeCommand(bytes, 0, bytes.length);
      } catch {
        expect(() => judge(bytes)).toThrow();
        return;
      }
      if ((request.flag & 1) !== 0 || request.code > 30_000) return;
      const wanted = table.check(request, '192.0.2.1')?.remark;
      const remark = judge(bytes);
      if ((request.flag & 2) !== 0) expect(remark === undefined).toBe(wanted === undefined);
      else expect(remark).toBe(wanted);
    }),
    { numRuns: 20_000 },
  );
});
