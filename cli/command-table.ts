// Every command of `dr` as a row: name, options, and where its action lives. Help, completion and the
// documentation test read this table; nothing else defines a command.
import type { CommandRow, OptionRow } from './command.ts';
import { ADMIN_COMMANDS } from './commands/admin/table/index.ts';

const output: OptionRow = {
  flags: '-o, --output <format>',
  description: 'table or json',
  default: 'table',
  choices: ['table', 'json'],
};
const drConfig: OptionRow = {
  flags: '-c, --config <file>',
  description: 'dr.yaml of this region',
  required: true,
  env: 'DR_CONFIG',
};
const properties: OptionRow = {
  flags: '-c, --config <file>',
  description: 'Apache .properties file',
  required: true,
};
const target: OptionRow = {
  flags: '--to <region>',
  description: 'region to become active (default: the one that is not)',
};
const repository: OptionRow = {
  flags: '--repository <url>',
  description: 'file:///folder or s3://bucket/prefix instead of the one in dr.yaml',
};

const fileKind: OptionRow = {
  flags: '--kind <kind>',
  description: 'what the file is (default: by what it holds)',
  choices: ['dr', 'broker', 'nameserver', 'gateway'],
};
const storePlace: OptionRow[] = [
  { flags: '-c, --config <file>', description: 'configuration of the broker that wrote the store' },
  { flags: '--commitlog <folder>', description: 'the commit log when it is not STORE/commitlog' },
];

const servers: CommandRow[] = [
  {
    name: 'nameserver',
    description: 'run a name server (regional, or global with drMode=global)',
    options: [properties],
    load: async () => (await import('./commands/servers.ts')).runNameserver,
  },
  {
    name: 'broker',
    description: 'run a broker; with --dr it takes part in switchovers',
    options: [properties, { flags: '--dr <file>', description: 'dr.yaml of this region' }],
    load: async () => (await import('./commands/servers.ts')).runBroker,
  },
  {
    name: 'gateway',
    description: 'run a gateway that splices clients to the active region',
    options: [properties],
    load: async () => (await import('./commands/servers.ts')).runGateway,
  },
  {
    name: 'standby',
    description: 'run the region daemon: name server, broker, link, jobs, health',
    options: [drConfig],
    load: async () => (await import('./commands/servers.ts')).runStandby,
  },
];

const verbs: CommandRow[] = [
  {
    name: 'switchover',
    description: 'planned switch: loses nothing or changes nothing',
    options: [
      drConfig,
      target,
      {
        flags: '--max-write-pause <ms>',
        description: 'lift the fence when not drained by then',
        number: true,
      },
      { flags: '--no-reverse-link', description: 'do not mirror back to the old active region' },
      { flags: '--yes', description: 'do not ask', default: false },
      output,
    ],
    load: async () => (await import('./commands/switchover.ts')).runSwitchover,
  },
  {
    name: 'failover',
    description: 'forced switch when the active region is dead: says first what would be lost',
    options: [
      drConfig,
      target,
      {
        flags: '--accept-data-loss',
        description: 'promote although the printed statement says what is missing',
        default: false,
      },
      output,
    ],
    load: async () => (await import('./commands/switchover.ts')).runFailover,
  },
  {
    name: 'resume',
    description: 'finish an interrupted operation',
    options: [drConfig, output],
    load: async () => (await import('./commands/switchover.ts')).runResume,
  },
  {
    name: 'abort',
    description: 'undo an interrupted operation, up to the point of no return',
    options: [drConfig, output],
    load: async () => (await import('./commands/switchover.ts')).runAbort,
  },
  {
    name: 'status',
    description: 'who writes at which epoch, the lags, the operation under way',
    options: [drConfig, output],
    load: async () => (await import('./commands/switchover.ts')).runStatus,
  },
  {
    name: 'plan',
    description: 'print the steps a switchover or failover would take now',
    args: '[kind]',
    options: [drConfig, target, output],
    load: async () => (await import('./commands/switchover.ts')).runPlan,
  },
  {
    name: 'ready',
    description: 'tell whether a switchover would be allowed now (exit 0) or why not (exit 4)',
    options: [drConfig, output],
    load: async () => (await import('./commands/switchover.ts')).runReady,
  },
  {
    name: 'activate',
    description: 'open a region that booted closed because nobody answered',
    options: [
      drConfig,
      {
        flags: '--epoch <n>',
        description: 'epoch shown by dr status',
        number: true,
        required: true,
      },
      { flags: '--yes', description: 'the other region is known to be down', default: false },
      output,
    ],
    load: async () => (await import('./commands/switchover.ts')).runActivate,
  },
  {
    name: 'rejoin',
    description: 'make this deposed region the standby of the active one; its own tail is exported',
    options: [drConfig, { flags: '--yes', description: 'do not ask', default: false }, output],
    load: async () => (await import('./commands/rejoin.ts')).runRejoin,
  },
  {
    name: 'relay stop',
    description: 'stop relaying old clients of this region to the active one',
    options: [drConfig, output],
    load: async () => (await import('./commands/switchover.ts')).runRelayStop,
  },
  {
    name: 'switchover fsm',
    description: 'print the decision table of the controller',
    options: [{ flags: '--mermaid', description: 'as a mermaid diagram', default: false }],
    load: async () => (await import('./commands/switchover.ts')).runTable,
  },
  {
    name: 'reconcile list',
    description: 'list what an old store holds beyond the promoted history (reads only)',
    options: [
      { flags: '--store <folder>', description: 'store root of the old side', required: true },
      { flags: '--from <offset>', description: 'start instead of the lineage', number: true },
      { flags: '--export <file>', description: 'also write the raw records to this file' },
      drConfig,
      output,
    ],
    load: async () => (await import('./commands/reconcile.ts')).runReconcileList,
  },
];

const backups: CommandRow[] = [
  {
    name: 'backup init',
    description: 'begin a repository at the target (once; a run never does)',
    options: [drConfig, repository, output],
    load: async () => (await import('./commands/backup.ts')).runInit,
  },
  {
    name: 'backup run',
    description: 'take one snapshot now',
    options: [
      drConfig,
      repository,
      { flags: '--store <folder>', description: 'store root instead of the one of dr.yaml' },
      output,
    ],
    load: async () => (await import('./commands/backup.ts')).runBackup,
  },
  {
    name: 'backup list',
    description: 'list the restore points',
    options: [drConfig, repository, output],
    load: async () => (await import('./commands/backup.ts')).runList,
  },
  {
    name: 'backup verify',
    args: '[id]',
    description: 'prove a restore point (default: the newest)',
    options: [
      drConfig,
      repository,
      {
        flags: '--depth <depth>',
        description: 'how deep to look',
        default: 'hashed',
        choices: ['listed', 'hashed', 'restored'],
      },
      output,
    ],
    load: async () => (await import('./commands/backup.ts')).runVerify,
  },
  {
    name: 'backup schedule',
    description: 'print the schedule, the next runs and what was missed',
    options: [drConfig, output],
    load: async () => (await import('./commands/backup.ts')).runSchedule,
  },
  {
    name: 'backup prune',
    description: 'delete restore points beyond the retention (never the last good one)',
    options: [
      drConfig,
      repository,
      { flags: '--dry-run', description: 'only list', default: false },
      output,
    ],
    load: async () => (await import('./commands/backup.ts')).runPrune,
  },
  {
    name: 'restore',
    args: '[id]',
    description: 'restore a store (default: the newest) into an empty folder',
    options: [
      drConfig,
      repository,
      { flags: '--into <folder>', description: 'empty folder for the store', required: true },
      {
        flags: '--to-time <time>',
        description: 'stop at this store time (ISO 8601, as dr admin takes it)',
      },
      { flags: '--to-offset <offset>', description: 'stop at this log offset', number: true },
      output,
    ],
    load: async () => (await import('./commands/backup.ts')).runRestore,
  },
];

const others: CommandRow[] = [
  {
    name: 'config validate',
    args: '<file>',
    description: 'check dr.yaml or a .properties file: every problem with its line',
    options: [fileKind, output],
    load: async () => (await import('./commands/config/validate.ts')).runValidate,
  },
  {
    name: 'config show',
    args: '<file>',
    description: 'the values in force and where each comes from; secrets hidden',
    options: [fileKind, output],
    load: async () => (await import('./commands/config/show.ts')).runShow,
  },
  {
    name: 'config example',
    args: '[kind]',
    description: 'print a commented file with every key: dr (default), broker, nameserver, gateway',
    load: async () => (await import('./commands/config/example.ts')).runExample,
  },
  {
    name: 'doctor',
    description: 'ports, limits, disk, clock, configuration, peers: what is wrong and what to do',
    example: 'dr doctor -c dr.yaml',
    options: [
      { flags: '-c, --config <file>', description: 'dr.yaml or a .properties file (or DR_CONFIG)' },
      {
        flags: '-n, --namesrvAddr <list>',
        description: 'name servers to ask, HOST:PORT divided by ;',
        env: 'NAMESRV_ADDR',
      },
      { flags: '--timeout <ms>', description: 'wait for a peer', default: 2_000, number: true },
      output,
    ],
    load: async () => (await import('./commands/doctor/doctor.ts')).runDoctor,
  },
  {
    name: 'log dump',
    args: '<store>',
    description: 'print records of a commit log (reads only, also of a live store)',
    example: 'dr log dump /var/lib/rocketmq/store --topic orders --count 20',
    options: [
      { flags: '--from <offset>', description: 'log offset of the first record', number: true },
      { flags: '--to <offset>', description: 'up to this log offset', number: true },
      { flags: '--topic <topic>', description: 'this topic only' },
      { flags: '--queue <id>', description: 'this queue only', number: true },
      { flags: '--count <count>', description: 'at most (default 100)', number: true },
      {
        flags: '--body <form>',
        description: 'how bodies are shown',
        default: 'text',
        choices: ['text', 'hex', 'none'],
      },
      ...storePlace,
      output,
    ],
    load: async () => (await import('./commands/log/dump.ts')).runDump,
  },
  {
    name: 'log verify',
    args: '<store>',
    description: 'prove a stopped store: every record, queue entry and index key (exit 9: damage)',
    options: [...storePlace, output],
    load: async () => (await import('./commands/log/check.ts')).runVerify,
  },
  {
    name: 'log rebuild',
    args: '<store>',
    description: 'build consume queues and index of a stopped store again from its log',
    options: [...storePlace, output],
    load: async () => (await import('./commands/log/check.ts')).runRebuild,
  },
  {
    name: 'demo',
    description: 'two regions on this machine: mirror, switchover, failover, backup',
    options: [
      { flags: '--keep', description: 'leave the regions up and say what to try', default: false },
      { flags: '--rate <n>', description: 'orders per second', default: 500, number: true },
      { flags: '--folder <folder>', description: 'where to work (default: a temporary folder)' },
      output,
    ],
    load: async () => (await import('./demo/demo.ts')).runDemo,
  },
];

export const COMMANDS: CommandRow[] = [
  ...servers,
  ...verbs,
  ...backups,
  ...ADMIN_COMMANDS,
  ...others,
];

/** What the words mean that stand before other commands. */
export const GROUP_TEXT: Record<string, string> = {
  relay: 'the relay of a sealed region: where it sends its clients, and its end',
  reconcile: 'after a failover: what the old region had that the new one has not',
  backup: 'snapshots: run, list, verify, schedule, prune',
  admin: 'the commands of mqadmin, against any RocketMQ cluster',
  config: 'configuration files: examples, mistakes, values in force',
  log: 'the commit log of a store: dump, verify, rebuild',
};
