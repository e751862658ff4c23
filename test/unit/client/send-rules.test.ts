import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  anyAddress,
  brokerAddresses,
  masterOf,
  readableQueues,
  writableQueues,
} from '../../../core-broker/client/index.ts';
import { chooseQueue, maySendAgain } from '../../../core-broker/client/sending/send-rules.ts';
import type { TopicRouteData } from '../../../core-broker/protocol/index.ts';

const remote = (code: number) => new DrError('REMOTE', 'refused', { context: { code } });

const route: TopicRouteData = {
  brokerDatas: [
    {
      brokerName: 'a',
      cluster: 'c',
      brokerAddrs: { 0: 'h:1', 1: 'h:2' },
      enableActingMaster: false,
    },
    { brokerName: 'b', cluster: 'c', brokerAddrs: { 1: 'h:3' }, enableActingMaster: false },
  ],
  filterServerTable: {},
  queueDatas: [
    { brokerName: 'a', perm: 6, readQueueNums: 2, writeQueueNums: 1, topicSysFlag: 0 },
    { brokerName: 'b', perm: 6, readQueueNums: 1, writeQueueNums: 1, topicSysFlag: 0 },
  ],
};

describe('send rules', () => {
  test.each([1, 2, 14, 16, 17, 204, 205])('code %i is tried on another queue', (code) => {
    expect(maySendAgain(remote(code))).toBe(true);
  });

  test.each([13, 29, 3, 26])('code %i is the answer', (code) => {
    expect(maySendAgain(remote(code))).toBe(false);
  });

  test('a lost connection and a time-out are tried again', () => {
    expect(maySendAgain(new DrError('NETWORK', 'reset'))).toBe(true);
    expect(maySendAgain(new DrError('TIMEOUT', 'no answer'))).toBe(true);
  });

  test('the next try avoids the broker that failed while there is another', () => {
    const queues = [
      { topic: 't', brokerName: 'a', queueId: 0 },
      { topic: 't', brokerName: 'b', queueId: 0 },
    ];
    for (let turn = 0; turn < 5; turn++) {
      expect(chooseQueue(queues, turn, 'a')?.brokerName).toBe('b');
    }
    expect(chooseQueue(queues.slice(0, 1), 3, 'a')?.brokerName).toBe('a');
    expect(chooseQueue([], 0, undefined)).toBeUndefined();
  });

  test('a broker without a master takes no writes but can be read', () => {
    expect(writableQueues('t', route).map((queue) => queue.brokerName)).toEqual(['a']);
    expect(readableQueues('t', route)).toHaveLength(3);
    expect(masterOf(route, 'b')).toBeUndefined();
    expect(anyAddress(route, 'b')).toBe('h:3');
    expect(brokerAddresses(route)).toEqual(['h:1', 'h:2', 'h:3']);
  });
});
