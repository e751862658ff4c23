// JSON bodies, names and signed control requests.
import * as zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { DrError, Secret } from '../../../core-broker/base/index.ts';
import {
  bodyCrc,
  DR_CLOCK_WINDOW_MS,
  DR_CODE,
  DrRequestVerifier,
  decodeCommand,
  decodeConsumerOffsets,
  decodeConsumeStats,
  decodeHeartbeat,
  decodeRegisterBody,
  decodeSubscriptionGroupTable,
  decodeTopicConfigTable,
  decodeTopicRoute,
  decodeTopicStats,
  encodeRegisterBody,
  encodeRequest,
  encodeTopicConfigTable,
  encodeTopicRoute,
  groupProblem,
  isSendForbidden,
  isSystemTopic,
  newTopicConfig,
  queueTable,
  type RequestInit,
  signDrRequest,
  tagSubscription,
  topicProblem,
} from '../../../core-broker/protocol/index.ts';

const commandOf = (request: RequestInit) => {
  const frame = encodeRequest(request, 1);
  return decodeCommand(frame, 0, frame.length);
};

describe('bodies', () => {
  test('a route is compact, has quoted keys and is read in both dialects', () => {
    const loose =
      '{"brokerDatas":[{"brokerAddrs":{0:"1.1.1.1:10911",1:"1.1.1.2:10911"},"brokerName":"broker-a",' +
      '"cluster":"C"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,' +
      '"readQueueNums":8,"topicSynFlag":0,"writeQueueNums":8}]}';
    const route = decodeTopicRoute(loose);
    expect(route.brokerDatas[0]).toMatchObject({
      brokerAddrs: { '0': '1.1.1.1:10911', '1': '1.1.1.2:10911' },
      enableActingMaster: false,
    });
    const text = encodeTopicRoute(route);
    expect(text).toContain('"brokerAddrs":{"0":"1.1.1.1:10911","1":"1.1.1.2:10911"}');
    expect(decodeTopicRoute(text)).toEqual(route);
  });

  test('topic tables keep their fields; missing ones take the defaults of RocketMQ', () => {
    const table = {
      dataVersion: { counter: 5, stateVersion: 2, timestamp: 9 },
      topicConfigTable: { T: { ...newTopicConfig('T', 4), order: true, attributes: { a: 'b' } } },
    };
    expect(decodeTopicConfigTable(encodeTopicConfigTable(table))).toEqual(table);
    const sparse = decodeTopicConfigTable('{"topicConfigTable":{"X":{"perm":7}}}');
    expect(sparse.topicConfigTable['X']).toMatchObject({
      topicName: 'X',
      perm: 7,
      readQueueNums: 16,
      writeQueueNums: 16,
    });
    const groups = decodeSubscriptionGroupTable('{"subscriptionGroupTable":{"G":{}}}');
    expect(groups.subscriptionGroupTable['G']).toMatchObject({
      groupName: 'G',
      retryMaxTimes: 16,
      consumeEnable: true,
    });
  });

  test('registrations: plain, compressed, damaged', () => {
    const table = {
      dataVersion: { counter: 1, stateVersion: 0, timestamp: 7 },
      topicConfigTable: { T: newTopicConfig('T', 4) },
    };
    const plain = Buffer.from(encodeRegisterBody(table));
    const header = { compressed: false, bodyCrc32: bodyCrc(plain) };
    expect(decodeRegisterBody(plain, header).topicConfigSerializeWrapper).toMatchObject(table);
    const wrong = { ...header, bodyCrc32: header.bodyCrc32 ^ 1 };
    expect(() => decodeRegisterBody(plain, wrong)).toThrow('crc32 not match');
    const part = (text: string): Buffer => {
      const out = Buffer.alloc(4 + Buffer.byteLength(text));
      out.writeInt32BE(out.length - 4, 0);
      out.write(text, 4);
      return out;
    };
    const count = Buffer.from([0, 0, 0, 2]);
    const raw = Buffer.concat([
      part('{"counter":1,"stateVersion":0,"timestamp":7}'),
      count,
      part('T 4 4 6 SINGLE_TAG'),
      part('U 8 2 4 SINGLE_TAG {"k":"v"}'),
      part('["f:1"]'),
    ]);
    const compressed = { compressed: true, bodyCrc32: 0 };
    const body = decodeRegisterBody(zlib.deflateSync(raw), compressed);
    expect(body.filterServerList).toEqual(['f:1']);
    expect(body.topicConfigSerializeWrapper.topicConfigTable['T']).toEqual(newTopicConfig('T', 4));
    expect(body.topicConfigSerializeWrapper.topicConfigTable['U']).toMatchObject({
      readQueueNums: 8,
      writeQueueNums: 2,
      perm: 4,
      attributes: { k: 'v' },
    });
    for (const cut of [1, 10, raw.length - 3]) {
      const short = zlib.deflateSync(raw.subarray(0, cut));
      expect(() => decodeRegisterBody(short, compressed)).toThrow(DrError);
    }
    expect(() => decodeRegisterBody(Buffer.from('xx'), compressed)).toThrow(DrError);
  });

  test('offset tables and statistics in the dialect of Java', () => {
    const offsets = decodeConsumerOffsets(
      '{"dataVersion":{"counter":1},"offsetTable":{"T@G":{0:5,1:"6"}}}',
    );
    expect(offsets.offsetTable).toEqual({ 'T@G': { '0': 5, '1': 6 } });
    const queue = { brokerName: 'b', queueId: 1, topic: 'T' };
    const stats = decodeTopicStats(
      '{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":3,' +
        '"maxOffset":9,"minOffset":2}}}',
    );
    expect(stats).toEqual([{ ...queue, lastUpdateTimestamp: 3, maxOffset: 9, minOffset: 2 }]);
    const row = { brokerOffset: 9, consumerOffset: 4, lastTimestamp: 1, pullOffset: 5 };
    const text = JSON.stringify({ offsetTable: queueTable([[queue, row]]) });
    expect(decodeConsumeStats(text)).toEqual([{ ...queue, ...row }]);
  });

  test('a heartbeat of a sparse client is read with defaults', () => {
    const beat = decodeHeartbeat(
      '{"clientID":"1@2","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T",' +
        '"subString":"*","codeSet":[],"tagsSet":[]}]}],"producerDataSet":[]}',
    );
    expect(beat.consumerDataSet[0]).toMatchObject({
      messageModel: 'CLUSTERING',
      subscriptionDataSet: [{ topic: 'T', expressionType: 'TAG' }],
    });
    expect(tagSubscription('T', 'TagA || TagB||', 1)).toMatchObject({
      tagsSet: ['TagA', 'TagB'],
      codeSet: [2598919, 2598920],
    });
    expect(tagSubscription('T', undefined, 1).subString).toBe('*');
  });

  test('names', () => {
    expect(topicProblem('Topic_1-%|')).toBeUndefined();
    expect(topicProblem('a b')).toContain('illegal');
    expect(topicProblem('t'.repeat(128))).toContain('127');
    expect(topicProblem(`%RETRY%${'g'.repeat(120)}`)).toBeUndefined();
    expect(groupProblem('g'.repeat(121))).toContain('120');
    expect(isSystemTopic('rmq_sys_x') && isSystemTopic('TBW102')).toBe(true);
    expect(isSendForbidden('SCHEDULE_TOPIC_XXXX')).toBe(true);
    expect(isSendForbidden('TBW102')).toBe(false);
  });
});

describe('signed control requests', () => {
  const secret = new Secret('a long shared secret');
  const nowMs = 1_700_000_000_000;
  let n = 0;
  const sign = (over: Partial<Parameters<typeof signDrRequest>[1]> = {}) =>
    signDrRequest(secret, {
      code: DR_CODE.FENCE,
      body: '{"opId":"op-1","deadlineMs":5}',
      opId: 'op-1',
      nonce: `nonce-${n++}`,
      nowMs,
      ...over,
    });
  const refused = (verifier: DrRequestVerifier, request: RequestInit, at = nowMs) =>
    expect(() => verifier.verify(commandOf(request), at)).toThrow(
      expect.objectContaining({ code: 'AUTH' }),
    );

  test('a request is taken once', () => {
    const verifier = new DrRequestVerifier(secret);
    const request = sign();
    expect(verifier.verify(commandOf(request), nowMs)).toBe('op-1');
    refused(verifier, request);
    refused(verifier, request, nowMs + DR_CLOCK_WINDOW_MS);
  });

  test('any change is noticed', () => {
    const verifier = new DrRequestVerifier(secret);
    const request = sign();
    refused(verifier, { ...request, code: DR_CODE.SEAL });
    refused(verifier, { ...request, body: '{"opId":"op-1","deadlineMs":6}' });
    for (const key of ['nonce', 'opId', 'sentAtMs', 'mac']) {
      refused(verifier, { ...request, ext: { ...request.ext, [key]: '1' } });
      refused(verifier, { ...request, ext: { ...request.ext, [key]: undefined } });
    }
    refused(new DrRequestVerifier(new Secret('another')), request);
    expect(verifier.verify(commandOf(request), nowMs)).toBe('op-1');
  });

  test('a clock that is off is refused in both directions', () => {
    const verifier = new DrRequestVerifier(secret);
    refused(verifier, sign({ nowMs: nowMs - DR_CLOCK_WINDOW_MS - 1 }));
    refused(verifier, sign({ nowMs: nowMs + DR_CLOCK_WINDOW_MS + 1 }));
    refused(verifier, sign({ nowMs: Number.NaN }));
    verifier.verify(commandOf(sign({ nowMs: nowMs - DR_CLOCK_WINDOW_MS })), nowMs);
  });

  test('the nonce memory is bounded and forgets only what cannot be replayed', () => {
    const verifier = new DrRequestVerifier(secret, 3);
    const requests = [sign(), sign(), sign()];
    for (const request of requests) verifier.verify(commandOf(request), nowMs);
    expect(() => verifier.verify(commandOf(sign()), nowMs)).toThrow(
      expect.objectContaining({ code: 'BUSY' }),
    );
    const later = nowMs + DR_CLOCK_WINDOW_MS + 1;
    verifier.verify(commandOf(sign({ nowMs: later })), later);
    for (const request of requests) refused(verifier, request, later);
  });
});
