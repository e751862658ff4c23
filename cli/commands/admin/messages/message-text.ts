// A message as the admin commands show it: the documented JSON form, and one line for people.
import type { FoundMessage, ReceivedMessage } from '../../../../core-broker/client/index.ts';
import { timeText } from '../../../../core-broker/client/index.ts';

/** Text when the bytes are UTF-8, undefined otherwise. */
export function utf8Of(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    // Expected: bodies may be anything.
    return undefined;
  }
}

export function messageJson(message: ReceivedMessage & Partial<FoundMessage>) {
  const text = utf8Of(message.body);
  return {
    msgId: message.msgId,
    topic: message.topic,
    tags: message.tags ?? null,
    keys: message.keys ?? null,
    brokerName: message.brokerName,
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    physicalOffset: message.physicalOffset,
    bornTimestampMs: message.bornTimestampMs,
    storeTimestampMs: message.storeTimestampMs,
    bornHost: message.bornHost ?? null,
    storeHost: message.storeHost ?? null,
    reconsumeTimes: message.reconsumeTimes,
    sysFlag: message.sysFlag,
    flag: message.flag,
    properties: message.properties,
    bodyBytes: message.body.length,
    ...(text === undefined ? { bodyBase64: message.body.toString('base64') } : { body: text }),
  };
}

export function messageLine(message: ReceivedMessage, withBody: boolean): string {
  const { brokerName, queueId, queueOffset, msgId, tags, keys, body } = message;
  const head =
    `${brokerName} ${queueId} ${queueOffset} ${timeText(message.storeTimestampMs)} ${msgId}` +
    `${tags === undefined ? '' : ` tag=${tags}`}${keys === undefined ? '' : ` keys=${keys}`}`;
  return withBody ? `${head}\n  ${utf8Of(body) ?? body.toString('hex')}` : head;
}
