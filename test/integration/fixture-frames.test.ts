// The conversation recorded with stock 4.9.7 and 5.5.0 servers, held again with ours, frame by frame:
// the recorded request bytes go in, and our answer has the same code, the same header fields with
// values of the same kind, and a body of the same shape. What differs is named with its reason in
// known-differences.ts; a difference without a rule and a rule without a difference both fail.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, createBroker } from '../../core-broker/broker/index.ts';
import {
  createNameServer,
  type NameServer,
  regionalConfig,
} from '../../core-broker/nameserver/index.ts';
import { decodeCommand } from '../../core-broker/protocol/index.ts';
import { testConfig } from '../support/broker-fixture.ts';
import { compareAnswers, recordedExchanges } from '../support/stock/frames.ts';
import { KNOWN_DIFFERENCES } from '../support/stock/known-differences.ts';
import { type Exchange, TapWire } from '../support/stock/tap-wire.ts';

describe.each(['5.5.0', '4.9.7'] as const)('the conversation with %s', (version) => {
  const exchanges = recordedExchanges(version);
  const found = new Map<string, string[]>();
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-frames-'));
  const wire = new TapWire();
  const rules = KNOWN_DIFFERENCES.filter((rule) => rule.versions.includes(version));
  let nameserver: NameServer;
  let broker: Broker;

  beforeAll(async () => {
    nameserver = createNameServer({
      config: regionalConfig({
        bindAddress: '127.0.0.1',
        listenPort: 0,
        configStorePath: path.join(root, 'namesrv.properties'),
        kvConfigPath: path.join(root, 'kvConfig.json'),
      }),
    });
    await nameserver.start();
    broker = createBroker({
      config: testConfig(path.join(root, 'store'), {
        brokerClusterName: 'DefaultCluster',
        namesrvAddr: nameserver.address,
      }),
    });
    await broker.start();
    for (const exchange of exchanges) found.set(exchange.name, await replay(exchange));
  });
  afterAll(async () => {
    wire.close();
    await broker.stop();
    await nameserver.stop();
    fs.rmSync(root, { recursive: true, force: true });
  });

  async function replay({ at, request, response }: Exchange): Promise<string[]> {
    const address = at === 'broker' ? broker.address : nameserver.address;
    const frame = Buffer.from(response, 'hex');
    const theirs = decodeCommand(frame, 0, frame.length);
    // The name server hears of new topics a moment later: its answers may be asked for again.
    const deadline = performance.now() + (at === 'broker' ? 0 : 5_000);
    for (;;) {
      const answer = await wire.exchange(address, Buffer.from(request, 'hex'));
      const ours = decodeCommand(answer, 0, answer.length);
      const differences = compareAnswers(theirs, ours);
      const hasMissing = differences.some((line) => /^(code|body: without)/.test(line));
      if (!hasMissing || performance.now() > deadline) return differences;
    }
  }

  test.each(exchanges.map(({ name }) => name))('%s', (name) => {
    const mine = rules.filter((rule) => rule.exchange.test(name));
    const unexplained = (found.get(name) ?? []).filter(
      (line) => !mine.some((rule) => rule.difference.test(line)),
    );
    expect(unexplained).toEqual([]);
  });

  test('every known difference is still one', () => {
    const isNeeded = (rule: (typeof rules)[number]) =>
      [...found].some(
        ([name, lines]) =>
          rule.exchange.test(name) && lines.some((line) => rule.difference.test(line)),
      );
    expect(rules.filter((rule) => !isNeeded(rule)).map((rule) => rule.why)).toEqual([]);
  });
});
