// Every code that makes a broker write, on every side that takes no writes: answered as write-codes.ts
// decides, and not one byte of a standby's log, queues or metadata changes.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type WhenClosed, WRITE_CODES } from '../../core-broker/broker/write-codes.ts';
import { DR_CODE, type RequestInit, ResponseCode } from '../../core-broker/protocol/index.ts';
import { RegionPair } from '../support/region-pair.ts';
import { logBytes } from '../support/small-store.ts';
import { TransactionClient } from '../support/transactions.ts';
import { writeRequests } from '../support/write-requests.ts';

const OP = { opId: 'op-1' };
let pair: RegionPair;
let requests: Map<number, RequestInit>;
const { NO_PERMISSION, SLAVE_NOT_AVAILABLE, SUCCESS, SYSTEM_ERROR } = ResponseCode;

beforeEach(async () => {
  pair = await RegionPair.start({ values: { recallMessageEnable: true } });
  const producer = new TransactionClient(() => pair.east.address);
  const sent = await pair.send(pair.east.address, 'first', { topic: 'orders' });
  const half = await producer.half('orders', 'open');
  producer.close();
  const offset = Number(BigInt(`0x${sent.ext['msgId']?.slice(16) ?? ''}`));
  requests = writeRequests({ topic: 'orders', group: 'readers', offset, half });
  await call('east', 200, { body: JSON.stringify({ groupName: 'readers' }) });
  await pair.west.link?.copyTo(pair.status('east').maxOffset);
  await pair.west.link?.finalSync();
});
afterEach(() => pair.stop());

const call = (name: 'east' | 'west', code: number, more: Omit<RequestInit, 'code'> = {}) =>
  pair.peer.invoke(pair[name].address, { code, ...more }, 10_000);

const codesOf = (...kinds: WhenClosed[]): number[] =>
  [...WRITE_CODES].filter(([, kind]) => kinds.includes(kind)).map(([code]) => code);

const answerTo = async (name: 'east' | 'west', code: number): Promise<number> => {
  const request = requests.get(code);
  if (request === undefined) throw new Error(`no request for code ${code}`);
  return (await pair.peer.invoke(pair[name].address, request, 10_000)).code;
};

/** Transactions are refused in the words of a slave. */
const refusalOf = (code: number): number =>
  code === 37 || code === 323 ? SLAVE_NOT_AVAILABLE : NO_PERMISSION;

function digestOf(name: 'east' | 'west'): string {
  const { root, broker } = pair[name];
  const hash = createHash('sha256').update(logBytes(root, 0, Number.MAX_SAFE_INTEGER));
  const queues = [...(broker?.store.queues() ?? [])];
  for (const { topic, queueId, min, max } of queues)
    hash.update(`${topic} ${queueId} ${min} ${max}`);
  const config = path.join(root, 'config');
  for (const file of fs.readdirSync(config).sort()) {
    hash.update(file).update(fs.readFileSync(path.join(config, file)));
  }
  return hash.digest('hex');
}

async function refusesAll(name: 'east' | 'west', kinds: WhenClosed[]): Promise<void> {
  for (const code of codesOf(...kinds)) {
    expect(await answerTo(name, code), `code ${code}`).toBe(refusalOf(code));
  }
  for (const code of codesOf('pushed')) expect(await answerTo(name, code)).toBe(SYSTEM_ERROR);
  for (const code of codesOf('idle')) expect(await answerTo(name, code)).toBe(SUCCESS);
  expect(await answerTo(name, 25)).toBe(SUCCESS);
}

it('has a request for every write code and no other', () => {
  expect([...requests.keys()].sort()).toEqual([...WRITE_CODES.keys()].sort());
});

describe('a standby', () => {
  it('takes no write by any code: log, queues and metadata stay as they are', async () => {
    const before = digestOf('west');
    await refusesAll('west', ['parked', 'refused']);
    await pair.west.broker?.store.flush();
    expect(digestOf('west')).toBe(before);
    expect(pair.status('west').maxOffset).toBe(pair.status('east').maxOffset);
  });
});

describe('an active side', () => {
  it('refuses none of them for its role', async () => {
    for (const [code, kind] of WRITE_CODES) {
      const answer = await answerTo('east', code);
      expect([NO_PERMISSION, SLAVE_NOT_AVAILABLE], `code ${code} ${kind}`).not.toContain(answer);
    }
    expect(pair.status('east').maxOffset).toBeGreaterThan(pair.status('west').maxOffset);
  });
});

describe('a fenced side', () => {
  it('parks sends, ends and recalls and carries them out when the fence lifts', async () => {
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const end = pair.status('east').maxOffset;
    await refusesAll('east', ['refused']);
    const parked = codesOf('parked');
    const answers = parked.map((code) => answerTo('east', code));
    await pair.until('east', (status) => status.parkedSends === parked.length);
    expect(pair.status('east').maxOffset).toBe(end);
    await pair.ask('east', DR_CODE.UNFENCE, OP);
    const codes = await Promise.all(answers);
    // The recall handle of the test is no handle: it came as far as being read.
    const wanted = parked.map((code) => (code === 370 ? ResponseCode.ILLEGAL_OPERATION : SUCCESS));
    expect(codes).toEqual(wanted);
  });
});

describe('a sealed side', () => {
  it('parks and then refuses; nothing changes what its token has counted', async () => {
    await pair.ask('east', DR_CODE.FENCE, { ...OP, deadlineMs: 60_000 });
    const token = await pair.ask('east', DR_CODE.SEAL, OP);
    await refusesAll('east', ['refused']);
    const parked = codesOf('parked');
    const codes = await Promise.all(parked.map((code) => answerTo('east', code)));
    expect(codes).toEqual(parked.map(() => NO_PERMISSION));
    expect(await pair.ask('east', DR_CODE.SEAL, OP)).toEqual(token);
  });
});

describe('a deposed side', () => {
  it('refuses everything its successor has to hear', async () => {
    await pair.ask('west', DR_CODE.LINK_HALT, OP);
    const { epoch: fromEpoch } = pair.status('west');
    await pair.ask('west', DR_CODE.PROMOTE, { ...OP, fromEpoch, token: null, forced: true });
    await pair.until('east', (status) => status.writeState === 'deposed');
    const end = pair.status('east').maxOffset;
    await refusesAll('east', ['parked', 'refused']);
    expect(pair.status('east').maxOffset).toBe(end);
  });
});
