// The fastjson dialect: what Java brokers and name servers write.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { parseJson, parseJsonTree } from '../../../core-broker/protocol/index.ts';

describe('JSON dialect', () => {
  test('unquoted numeric keys', () => {
    expect(
      parseJson('{"brokerAddrs":{0:"1.1.1.1:10911",-1:"x"},"n":[1,2.5,-3e2,null,true]}'),
    ).toEqual({
      brokerAddrs: { '0': '1.1.1.1:10911', '-1': 'x' },
      n: [1, 2.5, -300, null, true],
    });
  });

  test('object keys become their strict text', () => {
    const loose = '{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:7}}';
    const strict =
      '{"offsetTable":{"{\\"brokerName\\":\\"b\\",\\"queueId\\":0,\\"topic\\":\\"T\\"}":7}}';
    expect(parseJson(loose)).toEqual(parseJson(strict));
  });

  test('references are resolved by name, index, escaped name and from an inner place', () => {
    const value = parseJson(
      '{"a-b":{"x":[{"n":1},{"n":2}]},"c":{"$ref":"$.a\\\\-b.x[1]"},"d":[{"$ref":"$"},{"$ref":"$.no"}],' +
        '"e":{"up":{"$ref":".."},"self":{"$ref":"@"}},"f":{0:{"v":1}},"g":{"$ref":"$.f[0]"}}',
    ) as Record<string, unknown>;
    expect(value['c']).toEqual({ n: 2 });
    expect((value['d'] as unknown[])[0]).toBe(value);
    expect((value['d'] as unknown[])[1]).toBeNull();
    expect((value['e'] as Record<string, unknown>)['up']).toBe(value);
    expect((value['e'] as Record<string, unknown>)['self']).toBe(value['e']);
    expect(value['g']).toEqual({ v: 1 });
    expect(parseJsonTree('{"$ref":"$"}')).toEqual({ $ref: '$' });
  });

  test('strict JSON reads as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(parseJsonTree(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test.each([
    '',
    '{',
    '{"a"',
    '{"a":',
    '[1',
    '"abc',
    '{"a":1}}',
    '{{}:}',
    '{"a":"\\x"}',
    'nul',
    '{1 2}',
  ])('refuses %s', (text) => {
    expect(() => parseJson(text)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  test('depth is bounded in both readers', () => {
    for (const text of ['['.repeat(65), '{"a":'.repeat(65), '{a:'.repeat(65), '{{'.repeat(65)]) {
      expect(() => parseJson(text)).toThrow(DrError);
    }
    const deepest = `${'['.repeat(64)}${']'.repeat(64)}`;
    expect(() => parseJson(deepest)).not.toThrow();
  });
});
