// The canary: one plain message through each promoted broker, on a topic of its own that is created
// there. It is a normal append of the new epoch, so the reverse link copies it byte for byte like any
// other. Source: codes 17 (UPDATE_AND_CREATE_TOPIC) and 10 (SEND_MESSAGE) of RocketMQ.
import { DrError } from '../../core-broker/base/index.ts';
import { done, type Run, type StepOutcome } from './run.ts';

const SEND_MESSAGE = 10;
const UPDATE_AND_CREATE_TOPIC = 17;
const PERMISSION_READ_WRITE = 6;
const ATTEMPTS = 10;
const PAUSE_MS = 200;

/** Sends until stored or the attempts are used up; a failure is a problem, never an undo. */
export async function canary(run: Run): Promise<StepOutcome> {
  if (!run.tools.options.settings.canary) return done({ isSkipped: true });
  const stored: Record<string, Record<string, string>> = {};
  const problems: string[] = [];
  await Promise.all(
    run.pairs.map(async ({ brokerName }) => {
      const failure = await sendUntilStored(run, brokerName, stored);
      if (failure) problems.push(`${brokerName}: no canary stored: ${failure.message}`);
    }),
  );
  if (problems.length === 0) run.canaryAtMs = run.tools.nowMs();
  return { facts: { stored }, problems };
}

async function sendUntilStored(
  run: Run,
  brokerName: string,
  stored: Record<string, Record<string, string>>,
): Promise<DrError | undefined> {
  for (let n = 1; ; n++) {
    try {
      stored[brokerName] = await sendOne(run, run.targetAddress(brokerName));
      return undefined;
    } catch (reason) {
      if (n >= ATTEMPTS) return DrError.from(reason);
      await run.tools.sleep(PAUSE_MS);
    }
  }
}

async function sendOne(run: Run, address: string): Promise<Record<string, string>> {
  const { peerClient, settings } = run.tools.options;
  const topic = settings.canaryTopic;
  const createTopic = {
    topic,
    defaultTopic: 'TBW102',
    readQueueNums: 1,
    writeQueueNums: 1,
    perm: PERMISSION_READ_WRITE,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
  };
  await peerClient.call(
    address,
    { code: UPDATE_AND_CREATE_TOPIC, ext: createTopic },
    settings.callTimeoutMs,
  );
  const send = {
    producerGroup: 'DR_CANARY_PRODUCER',
    topic,
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 1,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: run.tools.nowMs(),
    flag: 0,
    properties: `KEYS\u0001${run.opId}\u0002`,
    reconsumeTimes: 0,
    unitMode: false,
    batch: false,
  };
  const body = `epoch ${run.operation.fromEpoch + 1} ${run.opId}`;
  const request = { code: SEND_MESSAGE, ext: send, body };
  const answer = await peerClient.call(address, request, settings.callTimeoutMs);
  return { msgId: answer.ext['msgId'] ?? '', queueOffset: answer.ext['queueOffset'] ?? '' };
}
