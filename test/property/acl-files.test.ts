// Damaged ACL files: whatever is in them, they are read as a whole or refused with their place, no secret
// is repeated, and what is let in by a white address was let in before the damage or names an address.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DrError } from '../../core-broker/base/index.ts';
import { readAclFile } from '../../core-broker/broker/acl/acl-file.ts';
import { AclTable } from '../../core-broker/broker/acl/acl-table.ts';
import { addressRule } from '../../core-broker/broker/acl/address-rule.ts';

const SECRETS = ['Zq7-program-secret', 'Zq7-operator-secret'];
const TEXT = `globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.{1,2}
accounts:
  - accessKey: program
    secretKey: ${SECRETS[0]}
    whiteRemoteAddress: 10.0.3-7.*
    defaultTopicPerm: DENY
    topicPerms: [a=PUB, b=PUB|SUB]
    groupPerms:
      - g=SUB
  - accessKey: operator
    secretKey: ${SECRETS[1]}
    admin: true
dataVersion:
  - counter: 3
    timestamp: 1700000000000
`;

const edit = fc.record({
  at: fc.nat(TEXT.length),
  cut: fc.nat(12),
  put: fc.oneof(
    fc.constantFrom(
      ':',
      '- ',
      '\n',
      '"',
      "'",
      '{',
      '}',
      '[',
      ']',
      '*',
      '&a',
      '!!js',
      '|',
      '=',
      '\t',
      '#',
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
  ),
});

test('a damaged file is read or refused with its place, and says no secret', () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
      let text = TEXT;
      for (const { at, cut, put } of edits) text = text.slice(0, at) + put + text.slice(at + cut);
      try {
        const table = new AclTable([readAclFile('/c/plain_acl.yml', text, 0)]);
        expect(table.warnings.join('\n')).not.toMatch(/Zq7-/);
      } catch (reason) {
        if (!DrError.is(reason, 'CONFIG')) throw reason;
        expect(reason.message).toMatch(/^\/c\/plain_acl\.yml:\d+/);
        expect(reason.message).not.toMatch(/Zq7-/);
      }
    }),
    { numRuns: 5_000 },
  );
});

test('an address rule of any text is refused or is a rule; only stars let in everybody', () => {
  const part = fc.constantFrom(
    '1',
    '10',
    '255',
    '256',
    '*',
    '3-7',
    '-1',
    '{1,2}',
    '',
    'fe80',
    '::',
    ' ',
  );
  const text = fc
    .tuple(fc.array(part, { maxLength: 9 }), fc.constantFrom('.', ':', ','))
    .map(([parts, mark]) => parts.join(mark));
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ maxLength: 20 })), (rule) => {
      try {
        const isWhite = addressRule(rule);
        const strangers = ['203.0.113.77', '2001:db8::77'].filter(isWhite);
        if (strangers.length > 0) expect(rule).toMatch(/\*/);
        if (strangers.length > 1) expect(rule.trim()).toMatch(/^\*([.:]\*)*$/);
      } catch (reason) {
        if (!DrError.is(reason, 'CONFIG')) throw reason;
      }
    }),
    { numRuns: 20_000 },
  );
});
