// dr backup init | run | list | verify | schedule | prune and dr restore: one repository, opened from dr.yaml or
// from --repository, used once and closed.
import {
  type Backup,
  type BackupConfig,
  createBackup,
  type RestoreCut,
  type VerifyDepth,
} from '../../backup/index.ts';
import { DrError } from '../../core-broker/base/index.ts';
import { resolveTime } from '../../core-broker/client/index.ts';
import { type CommandInput, textOf } from '../command.ts';
import { backupConfigOf } from '../config/backup-config.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { openDrConfig } from '../config/identity.ts';
import { beginRepository, rememberRepository } from '../config/known-repositories.ts';
import { storePlace } from '../config/store-place.ts';
import { openRegionJobs } from '../daemon/backup-jobs.ts';
import { EXIT } from '../exit-status.ts';
import { formatOf, type OutputFormat, printAnswer, printProgress } from '../output.ts';

interface Desk {
  config: DrConfig;
  settings: BackupConfig;
  backup: Backup;
  storeId: string | undefined;
  format: OutputFormat;
}

async function atDesk(input: CommandInput, work: (desk: Desk) => Promise<number>): Promise<number> {
  const config = openDrConfig(String(input.options['config']));
  const format = formatOf(input);
  const settings = backupConfigOf(config, textOf(input.options['repository']));
  const backup = await createBackup({ config: settings });
  try {
    return await work({ config, settings, backup, storeId: settings.storeId, format });
  } finally {
    backup.close();
  }
}

/** `dr backup init`. */
export function runInit(input: CommandInput): Promise<number> {
  return atDesk(input, async ({ config, settings, backup, format }) => {
    const result = await backup.init();
    rememberRepository(config, settings);
    printAnswer(format, { json: { result }, text: `repository: ${result}` });
    return EXIT.DONE;
  });
}

/** `dr backup run`: 0 archived, 3 with a gap, 9 with damaged records; what there is was archived. */
export function runBackup(input: CommandInput): Promise<number> {
  return atDesk(input, async ({ config, settings, backup, format }) => {
    await beginRepository(config, settings, backup);
    const place = storePlace(config, textOf(input.options['store']));
    const result = await backup.run({ ...place, onProgress: progressLine('archived') });
    const seconds = Math.max(result.durationMs, 1) / 1000;
    const bytesPerSecond = Math.round(result.rawBytes / seconds);
    printAnswer(format, {
      json: { ...result, bytesPerSecond },
      head: ['', ''],
      rows: [
        ['restore point', result.id],
        ['log', `${result.logMin} to ${result.logMax}`],
        ['files', `${result.files} (${result.filesReused} already there)`],
        ['bytes', `${result.rawBytes} read, ${result.newBytes} written`],
        ['speed', `${Math.round(bytesPerSecond / 1e6)} MB/s`],
        ['records proven', result.records],
        ['gaps', result.gaps.length === 0 ? 'none' : JSON.stringify(result.gaps)],
        ['damage', result.damage.length === 0 ? 'none' : JSON.stringify(result.damage)],
      ],
    });
    if (result.damage.length > 0) return EXIT.VERIFY_FAILED;
    return result.isComplete ? EXIT.DONE : EXIT.INCOMPLETE;
  });
}

/** At most one line a second. */
function progressLine(verb: string): (done: number, total: number) => void {
  let lastMs = performance.now();
  return (done, total) => {
    if (performance.now() - lastMs < 1_000) return;
    lastMs = performance.now();
    printProgress(`${verb} ${Math.round(done / 1e6)} of ${Math.round(total / 1e6)} MB`);
  };
}

/** `dr backup list`. */
export function runList(input: CommandInput): Promise<number> {
  return atDesk(input, async ({ backup, format }) => {
    const entries = await backup.list();
    printAnswer(format, {
      json: entries,
      head: ['restore point', 'store', 'taken', 'log from', 'log to', 'MB', 'state'],
      rows: entries.map((entry) => [
        entry.id,
        entry.storeId,
        entry.createdMs === undefined ? '-' : new Date(entry.createdMs).toISOString(),
        entry.logMin ?? '-',
        entry.logMax ?? '-',
        entry.storedBytes === undefined ? '-' : (entry.storedBytes / 1e6).toFixed(1),
        entry.problem === undefined ? entry.state : `${entry.state}: ${entry.problem}`,
      ]),
    });
    return EXIT.DONE;
  });
}

/** `dr backup verify [id]`: 0 proved, 3 a gap, 9 not proved. */
export function runVerify(input: CommandInput): Promise<number> {
  return atDesk(input, async ({ backup, storeId, format }) => {
    const result = await backup.verify({
      id: input.args[0] ?? 'latest',
      ...(storeId === undefined ? {} : { storeId }),
      depth: String(input.options['depth']) as VerifyDepth,
      onProgress: progressLine('verified'),
    });
    printAnswer(format, {
      json: result,
      text: `${result.id}: ${result.code ?? 'proved'} (${result.depth}, ${result.segments} segments)`,
      ...(result.problems.length === 0
        ? {}
        : { head: ['problem'], rows: result.problems.map((each) => [JSON.stringify(each)]) }),
    });
    if (result.code === undefined) return EXIT.DONE;
    return result.code === 'INCOMPLETE' ? EXIT.INCOMPLETE : EXIT.VERIFY_FAILED;
  });
}

/** `dr backup prune`. */
export function runPrune(input: CommandInput): Promise<number> {
  return atDesk(input, async ({ backup, format }) => {
    const result = await backup.prune({ dryRun: input.options['dryRun'] === true });
    const verb = result.isDryRun ? 'would delete' : 'deleted';
    printAnswer(format, {
      json: result,
      text: [`${verb}: ${result.deleted.join(', ') || 'nothing'}`, ...result.warnings].join('\n'),
      head: ['kept', 'store', 'why'],
      rows: result.kept.map((each) => [each.id, each.storeId, each.why]),
    });
    return EXIT.DONE;
  });
}

/** `dr restore [id] --into FOLDER`. */
export function runRestore(input: CommandInput): Promise<number> {
  const cut = cutOf(input);
  return atDesk(input, async ({ backup, storeId, format }) => {
    const result = await backup.restore({
      id: input.args[0] ?? 'latest',
      ...(storeId === undefined ? {} : { storeId }),
      target: String(input.options['into']),
      ...(cut === undefined ? {} : { cut }),
    });
    printAnswer(format, {
      json: result,
      head: ['', ''],
      rows: [
        ['restore point', result.backupId],
        ['into', result.target],
        ['log', `${result.logMin} to ${result.logEnd}, ${result.records} records`],
        ['offsets clamped', result.clampedOffsets],
        [
          'time',
          `${Math.round(result.actualMs)} ms (predicted ${Math.round(result.predictedMs)} ms)`,
        ],
        ['breaks', result.breaks.join('; ') || 'none'],
      ],
    });
    return result.breaks.length === 0 ? EXIT.DONE : EXIT.INCOMPLETE;
  });
}

function cutOf(input: CommandInput): RestoreCut | undefined {
  const time = textOf(input.options['toTime']);
  const offset = input.options['toOffset'];
  const timeMs = time === undefined ? undefined : resolveTime(time, Date.now());
  if (timeMs !== undefined && typeof offset === 'number') {
    throw new DrError('USAGE', 'say --to-time or --to-offset, not both');
  }
  if (timeMs !== undefined) return { toTimeMs: timeMs };
  return typeof offset === 'number' ? { toOffset: offset } : undefined;
}

/** `dr backup schedule`: the plan, the next runs, what ran and what was missed. */
export async function runSchedule(input: CommandInput): Promise<number> {
  const config = openDrConfig(String(input.options['config']));
  const format = formatOf(input);
  const plan = config.backup?.schedule;
  if (!plan) {
    printAnswer(format, { json: { schedule: null }, text: 'no backup.schedule in dr.yaml' });
    return EXIT.DONE;
  }
  const jobs = await openRegionJobs(config);
  try {
    const listed = await jobs.list();
    printAnswer(format, {
      json: { schedule: plan, jobs: listed },
      text: `${plan.plan}: ${plan.cron} (${plan.timezone})`,
      head: ['run', 'state', 'tries', 'error'],
      rows: listed.map((job) => [job.id, job.state, job.attempts, job.error ?? '']),
    });
  } finally {
    await jobs.close();
  }
  return EXIT.DONE;
}
