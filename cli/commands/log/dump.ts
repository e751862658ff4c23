// dr log dump STORE: records of a commit log as they stand on disk. Reads only, takes no lock, so a live
// store may be read; what its broker has not written yet is then not there.
import { DrError } from '../../../core-broker/base/index.ts';
import {
  decodeRecord,
  formatOffsetMsgId,
  parseMessageProperties,
} from '../../../core-broker/protocol/index.ts';
import { openLogReader, type ScannedRecord } from '../../../core-broker/store/index.ts';
import type { CommandInput } from '../../command.ts';
import { textOf } from '../../command.ts';
import { EXIT } from '../../exit-status.ts';
import { formatOf } from '../../output.ts';
import { placeOf } from './place.ts';

interface Wish {
  topic: string | undefined;
  queueId: number | undefined;
  count: number;
  body: string;
}

/** One JSON object a line with -o json: a log may be larger than memory. */
export async function runDump(input: CommandInput): Promise<number> {
  const { root, options } = placeOf(input);
  const reader = openLogReader(root, options);
  const number = (name: string): number | undefined => {
    const value = input.options[name];
    return value === undefined ? undefined : Number(value);
  };
  const from = number('from') ?? reader.minOffset;
  const wish: Wish = {
    topic: textOf(input.options['topic']),
    queueId: number('queue'),
    count: number('count') ?? 100,
    body: textOf(input.options['body']) ?? 'text',
  };
  const format = formatOf(input);
  let shown = 0;
  let seen = 0;
  try {
    for await (const record of reader.scan(from, number('to'))) {
      seen++;
      if (wish.topic !== undefined && record.topic !== wish.topic) continue;
      if (wish.queueId !== undefined && record.queueId !== wish.queueId) continue;
      if (shown++ >= wish.count) break;
      const row = rowOf(record, wish.body);
      const line = format === 'json' ? JSON.stringify(row) : textOfRow(row);
      // Why await: a slow reader of stdout must not make the whole log pile up in memory.
      if (!process.stdout.write(`${line}\n`)) {
        await new Promise((resolve) => process.stdout.once('drain', resolve));
      }
    }
  } catch (reason) {
    throw seen === 0 && from !== reader.minOffset ? noRecordStart(reason, from) : reason;
  } finally {
    reader.close();
  }
  const left = shown > wish.count ? '; there are more, say --count' : '';
  process.stderr.write(`${Math.min(shown, wish.count)} records${left}\n`);
  return EXIT.DONE;
}

/** A wrong starting point looks like damage; the next valid record is where to start. */
function noRecordStart(reason: unknown, from: number): unknown {
  if (!DrError.is(reason, 'CORRUPT')) return reason;
  const next = reason.context['nextValidOffset'];
  return new DrError('USAGE', `no record begins at offset ${from}`, {
    hint: `the next one begins at ${String(next)}`,
    cause: reason,
  });
}

function rowOf(scanned: ScannedRecord, body: string) {
  const record = decodeRecord(scanned.bytes);
  return {
    offset: scanned.offset,
    sizeBytes: scanned.sizeBytes,
    topic: scanned.topic,
    queueId: scanned.queueId,
    queueOffset: scanned.queueOffset,
    storeTime: new Date(record.storeTimestampMs).toISOString(),
    bornTime: new Date(record.bornTimestampMs).toISOString(),
    msgId: formatOffsetMsgId(record.storeHost, scanned.offset),
    sysFlag: record.sysFlag,
    flag: record.flag,
    reconsumeTimes: record.reconsumeTimes,
    preparedTransactionOffset: record.preparedTransactionOffset,
    properties: Object.fromEntries(parseMessageProperties(record.properties)),
    bodyBytes: record.body.length,
    ...(body === 'none' ? {} : { body: record.body.toString(body === 'hex' ? 'hex' : 'utf8') }),
  };
}

function textOfRow(row: ReturnType<typeof rowOf>): string {
  const { offset, sizeBytes, topic, queueId, queueOffset, storeTime, properties } = row;
  const head = `${offset} +${sizeBytes} ${storeTime} ${topic} ${queueId} ${queueOffset}`;
  const flags = row.sysFlag === 0 ? '' : ` sysFlag=${row.sysFlag}`;
  const words = Object.entries(properties).map(([key, value]) => `${key}=${value}`);
  const lines = [`${head}${flags} ${words.join(' ')}`.trimEnd()];
  // Control characters of a body must not reach a terminal.
  const shown = row.body?.replace(
    /\p{Cc}/gu,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  if (shown !== undefined) lines.push(`  ${shown}`);
  return lines.join('\n');
}
