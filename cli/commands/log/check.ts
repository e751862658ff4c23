// dr log verify STORE and dr log rebuild STORE: proves a stopped store, or builds its queues and index
// again from its log. The work is the store's; here it is shown.
import { DrError } from '../../../core-broker/base/index.ts';
import {
  type QueueFault,
  rebuildQueues,
  type VerifyReport,
  verifyQueues,
} from '../../../core-broker/store/index.ts';
import type { CommandInput } from '../../command.ts';
import { EXIT } from '../../exit-status.ts';
import { formatOf, printAnswer } from '../../output.ts';
import { placeOf, progressPrinter, refuseLive } from './place.ts';

const FAULTS: Record<QueueFault['kind'], string> = {
  missing: 'no entry in its queue',
  wrong: 'the entry of its queue leads elsewhere',
  beyond: 'a queue entry points beyond the log',
  index: 'index and log differ',
};

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Exit 0, or 9 when anything is damaged. */
export async function runVerify(input: CommandInput): Promise<number> {
  const { root, layout, options } = placeOf(input);
  refuseLive(layout);
  const startMs = performance.now();
  const onProgress = progressPrinter('verified');
  const report = await verifyQueues(root, { ...options, onProgress });
  const seconds = (performance.now() - startMs) / 1_000;
  const bytes = report.endOffset - report.fromOffset;
  const isSound = damageCount(report) === 0;
  printAnswer(formatOf(input), {
    json: {
      store: layout.root,
      isSound,
      seconds,
      bytes,
      ...report,
      damage: report.damage ?? null,
      pendingFrom: report.pendingFrom ?? null,
    },
    text: [
      `${layout.root}: ${isSound ? 'sound' : 'DAMAGED'}`,
      `log ${report.fromOffset} to ${report.endOffset}: ${report.records} records`,
      `${report.queues} queues: ${report.missing} entries missing, ${report.wrong} wrong, ${report.beyond} beyond the log`,
      `index: ${report.indexEntries} keys, ${report.indexFaults} faults`,
      ...(report.pending > 0
        ? [
            `not closed cleanly: ${report.pending} entries from offset ${report.pendingFrom} on are built by the next start`,
          ]
        : []),
      ...(report.hasTornTail ? ['a torn tail stands behind the end; the next start cuts it'] : []),
      `${megabytes(bytes)} MB in ${seconds.toFixed(2)} s, ${megabytes(bytes / seconds)} MB/s`,
      ...damageLines(report),
    ].join('\n'),
  });
  return isSound ? EXIT.DONE : EXIT.VERIFY_FAILED;
}

const damageCount = (report: VerifyReport): number =>
  report.missing +
  report.wrong +
  report.beyond +
  report.indexFaults +
  (report.damage === undefined ? 0 : 1);

function damageLines(report: VerifyReport): string[] {
  const lines = report.faults.map((fault) => {
    const { topic, queueId, queueOffset, physicalOffset } = fault;
    return `  offset ${physicalOffset}, ${topic} ${queueId} ${queueOffset}: ${FAULTS[fault.kind]}`;
  });
  const { damage } = report;
  const more = report.missing + report.wrong + report.beyond + report.indexFaults - lines.length;
  return [
    ...(damage
      ? [
          `${damage.file}: damaged record at offset ${damage.offset}; valid ones follow from ${damage.nextValidOffset}`,
          '    repair the file from a replica or a backup; what lies behind it was not compared',
        ]
      : []),
    ...lines,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...(lines.length > 0 && !damage ? ['    dr log rebuild builds queues and index again'] : []),
  ];
}

/** Exit 0; 7 while a process has the store, 9 when the log is damaged. */
export async function runRebuild(input: CommandInput): Promise<number> {
  const { root, layout, options } = placeOf(input);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once('SIGINT', onSignal);
  try {
    const onProgress = progressPrinter('rebuilt');
    const report = await rebuildQueues(root, { ...options, onProgress, signal: stop.signal });
    const { records, queues, endOffset, elapsedMs, bytesPerSecond, emptyQueues } = report;
    const tail = report.hasTornTail
      ? '\na torn tail stands behind the end; the next start cuts it'
      : '';
    printAnswer(formatOf(input), {
      json: { store: layout.root, ...report },
      text:
        `${layout.root}: ${queues} queues and the index built from ${records} records, up to offset ${endOffset}\n` +
        `${emptyQueues} queues without messages go on where they were\n` +
        `${(elapsedMs / 1_000).toFixed(2)} s, ${megabytes(bytesPerSecond)} MB/s${tail}`,
    });
    return EXIT.DONE;
  } catch (reason) {
    if (!DrError.is(reason, 'CANCELLED')) throw reason;
    throw new DrError('CANCELLED', reason.message, {
      hint: 'the store is safe: run dr log rebuild again, or the next start builds the queues',
    });
  } finally {
    process.removeListener('SIGINT', onSignal);
  }
}
