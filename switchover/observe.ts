// Looks at the world: status of every broker, flip and topic table, in parallel, each call bounded.
// A peer that does not answer is `undefined`, never a guess; why it did not is kept beside it.
import { DrError } from '../core-broker/base/index.ts';
import { DR_CODE, type DrStatus, type FlipResult } from '../core-broker/protocol/index.ts';
import type { BrokerReport, ControllerOptions, FlipReport } from './door.ts';

/** RocketMQ GET_ALL_TOPIC_CONFIG. */
const GET_ALL_TOPIC_CONFIG = 21;

/** Status of every broker of one region, by broker name order. */
export async function askRegion(
  options: ControllerOptions,
  region: string,
): Promise<BrokerReport[]> {
  const brokers = Object.entries(options.regions[region]?.brokers ?? {}).sort(byName);
  return Promise.all(
    brokers.map(async ([brokerName, address]) => {
      const answer = await ask<DrStatus>(options, address, DR_CODE.STATUS);
      return { region, brokerName, address, ...answer };
    }),
  );
}

/** Status of every broker of every region. */
export async function askAll(options: ControllerOptions): Promise<BrokerReport[]> {
  const regions = Object.keys(options.regions).map((region) => askRegion(options, region));
  return (await Promise.all(regions)).flat();
}

export async function askFlips(options: ControllerOptions): Promise<FlipReport[]> {
  const kinds = [
    ...options.flips.globalNameservers.map((address) => ['global-nameserver', address] as const),
    ...options.flips.gateways.map((address) => ['gateway', address] as const),
  ];
  return Promise.all(
    kinds.map(async ([kind, address]) => {
      const answer = await ask<FlipResult>(options, address, DR_CODE.FLIP_STATUS);
      return { kind, address, ...answer };
    }),
  );
}

async function ask<T>(
  options: ControllerOptions,
  address: string,
  code: number,
): Promise<{ status: T | undefined; error: string | undefined }> {
  try {
    const request = { code, body: {} };
    const { callTimeoutMs } = options.settings;
    return {
      status: await options.drClient.control<T>(address, request, callTimeoutMs),
      error: undefined,
    };
  } catch (reason) {
    const failure = DrError.from(reason);
    return { status: undefined, error: `${failure.code}: ${failure.message}` };
  }
}

type QueueCounts = Map<string, { write: number; read: number }>;

/** Topics that both regions have with different queue counts, one sentence each. */
export async function compareTopics(
  options: ControllerOptions,
  from: string,
  to: string,
): Promise<string[]> {
  const names = Object.keys(options.regions[from]?.brokers ?? {}).sort();
  const perBroker = await Promise.all(
    names.map(async (brokerName) => {
      const source = options.regions[from]?.brokers[brokerName];
      const target = options.regions[to]?.brokers[brokerName];
      if (!source || !target) return [];
      try {
        const [a, b] = await Promise.all([
          readTopics(options, source),
          readTopics(options, target),
        ]);
        return differences(a, b);
      } catch (reason) {
        return [`topics of ${brokerName} could not be read: ${DrError.from(reason).message}`];
      }
    }),
  );
  return perBroker.flat();
}

async function readTopics(options: ControllerOptions, address: string): Promise<QueueCounts> {
  const request = { code: GET_ALL_TOPIC_CONFIG };
  const answer = await options.peerClient.call(address, request, options.settings.callTimeoutMs);
  const body = JSON.parse(answer.body?.toString('utf8') ?? '{}') as {
    topicConfigTable?: Record<string, { writeQueueNums?: number; readQueueNums?: number }>;
  };
  return new Map(
    Object.entries(body.topicConfigTable ?? {}).map(([topic, config]) => [
      topic,
      { write: config.writeQueueNums ?? 0, read: config.readQueueNums ?? 0 },
    ]),
  );
}

/** A topic that only the active side has yet is brought by the final sync. */
function differences(source: QueueCounts, target: QueueCounts): string[] {
  return [...source].flatMap(([topic, here]) => {
    const there = target.get(topic);
    if (!there || (there.write === here.write && there.read === here.read)) return [];
    return [
      `${topic} has ${here.write}/${here.read} queues here and ${there.write}/${there.read} there`,
    ];
  });
}

const byName = ([a]: [string, string], [b]: [string, string]) => (a < b ? -1 : 1);
