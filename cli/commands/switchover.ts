// The operator's verbs: switchover, failover, resume, abort; status, plan, ready; activate, relay stop.
// Each opens the controller over dr.yaml, shows progress on stderr and prints one answer on stdout.
import { randomUUID } from 'node:crypto';
import * as path from 'node:path';
import { assertNever, DrError, makeFolder } from '../../core-broker/base/index.ts';
import { createDrClient, createPeerClient, type DrClient } from '../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus } from '../../core-broker/protocol/index.ts';
import {
  type Controller,
  type ControllerEvent,
  createController,
  mermaid,
  type OperationResult,
  openControlStore,
  PLAN,
  renderStatement,
  type StatusReport,
} from '../../switchover/index.ts';
import { type CommandInput, textOf } from '../command.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { openDrConfig } from '../config/identity.ts';
import { confirm } from '../confirm.ts';
import { EXIT } from '../exit-status.ts';
import { formatOf, type OutputFormat, printAnswer, printProgress } from '../output.ts';

interface Desk {
  config: DrConfig;
  controller: Controller;
  drClient: DrClient;
  format: OutputFormat;
}

const number = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined;

/** Opens the controller for one command and closes everything behind it. */
async function atDesk<T>(input: CommandInput, work: (desk: Desk) => Promise<T>): Promise<T> {
  const config = openDrConfig(String(input.options['config']));
  const format = formatOf(input);
  const storeConfig = config.controlStore ?? { kind: 'sqlite' as const, path: './control.db' };
  const resolved =
    storeConfig.kind === 'sqlite'
      ? { ...storeConfig, path: config.resolve(storeConfig.path) }
      : storeConfig;
  if (resolved.kind === 'sqlite') makeFolder(path.dirname(resolved.path));
  const store = await openControlStore(resolved);
  const drClient = createDrClient({ secret: config.secret });
  const peerClient = createPeerClient();
  const controller = createController({
    regions: config.regions,
    flips: config.flips,
    settings: config.switchover,
    drClient,
    peerClient,
    store,
    report: (event) => showEvent(event),
  });
  try {
    return await work({ config, controller, drClient, format });
  } finally {
    drClient.close();
    peerClient.close();
    await store.close();
  }
}

function showEvent(event: ControllerEvent): void {
  printProgress(describeEvent(event));
}

function describeEvent(event: ControllerEvent): string {
  switch (event.type) {
    case 'step':
      return `${event.stage.padEnd(6)} ${event.step.padEnd(14)} ${event.why}`;
    case 'progress':
      return `       lag ${event.lagMessages} messages, ${event.lagBytes} bytes, ${event.lagMs} ms`;
    case 'statement':
      return renderStatement(event.statement);
    case 'problem':
      return `       ${event.message}`;
    default:
      return assertNever(event);
  }
}

/** `dr switchover`. */
export function runSwitchover(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const to = textOf(input.options['to']);
    await confirm(input, `Switch writes to ${to ?? 'the other region'}?`);
    const maxWritePauseMs = number(input.options['maxWritePause']);
    const result = await desk.controller.switchover({
      ...(to === undefined ? {} : { to }),
      ...(maxWritePauseMs === undefined ? {} : { maxWritePauseMs }),
      ...(input.options['reverseLink'] === false ? { reverseLink: false } : {}),
    });
    return finish(desk.format, result);
  });
}

/** `dr failover`: without --accept-data-loss it prints the statement and changes nothing. */
export function runFailover(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const to = textOf(input.options['to']);
    const result = await desk.controller.failover({
      ...(to === undefined ? {} : { to }),
      acceptDataLoss: input.options['acceptDataLoss'] === true,
    });
    return finish(desk.format, result);
  });
}

export function runResume(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => finish(desk.format, await desk.controller.resume()));
}

export function runAbort(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => finish(desk.format, await desk.controller.abort()));
}

function finish(format: OutputFormat, result: OperationResult): number {
  const { operation, outcome, epoch, writePauseMs, rtoMs, problems } = result;
  const facts: [string, string][] = [
    ['operation', `${operation.kind} ${operation.opId}`],
    ['outcome', outcome],
    ['epoch', String(epoch)],
    ['write pause', writePauseMs === undefined ? '-' : `${Math.round(writePauseMs)} ms`],
    ['RTO', rtoMs === undefined ? '-' : `${Math.round(rtoMs)} ms`],
    ...problems.map((problem): [string, string] => ['problem', problem]),
  ];
  printAnswer(format, { json: result, head: ['', ''], rows: facts });
  if (outcome === 'incomplete') return EXIT.INCOMPLETE;
  return outcome === 'rolled-back' && operation.kind !== 'failover' && problems.length > 0
    ? EXIT.ROLLED_BACK
    : EXIT.DONE;
}

export function runStatus(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const report = await desk.controller.status();
    printAnswer(desk.format, { json: report, text: renderStatus(report) });
    return report.brokers.every((broker) => broker.status === undefined)
      ? EXIT.UNREACHABLE
      : EXIT.DONE;
  });
}

function renderStatus(report: StatusReport): string {
  const lines = [
    `active region  ${report.activeRegion ?? 'unknown'} at epoch ${report.epoch}`,
    `operation      ${report.operation ? `${report.operation.kind} ${report.operation.opId}, ${report.phase}` : 'none'}`,
    `locked by      ${report.lockedBy ?? '-'}`,
    '',
  ];
  for (const broker of report.brokers) lines.push(...renderBroker(broker));
  for (const flip of report.flips) {
    const state = flip.status
      ? `${flip.status.region} at epoch ${flip.status.epoch}`
      : (flip.error ?? 'no answer');
    lines.push(`${flip.kind.padEnd(18)} ${flip.address.padEnd(22)} ${state}`);
  }
  return lines.join('\n');
}

function renderBroker(broker: StatusReport['brokers'][number]): string[] {
  const head = `${broker.region}: ${broker.brokerName} ${broker.address}`;
  const { status } = broker;
  if (!status) return [head, `  no answer: ${broker.error ?? 'unknown'}`, ''];
  const { link, relay } = status;
  const lines = [
    head,
    `  role ${status.role}, ${status.writeState}, epoch ${status.epoch}, log end ${status.maxOffset}`,
  ];
  if (link) {
    lines.push(
      `  link ${link.state} from ${link.source}: ${link.lagMessages} messages, ` +
        `${link.lagBytes} bytes, ${link.lagMs} ms behind`,
    );
    if (link.lastError) lines.push(`  link error: ${link.lastError}`);
  }
  if (relay) lines.push(`  relays ${relay.connections} client connections to ${relay.target}`);
  return [...lines, ''];
}

export function runPlan(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const verb = input.args[0] ?? 'switchover';
    if (verb !== 'switchover' && verb !== 'failover') {
      throw new DrError('USAGE', `plan switchover or plan failover, not '${verb}'`);
    }
    const to = textOf(input.options['to']);
    const plan = await desk.controller.plan({ verb, ...(to === undefined ? {} : { to }) });
    const rows = plan.steps.map((each, index) => [index + 1, each.step, each.why]);
    const failed = plan.checks.filter((check) => !check.isOk);
    printAnswer(desk.format, {
      json: plan,
      text: [
        `${plan.kind} from ${plan.from} to ${plan.to}, epoch ${plan.fromEpoch} -> ${plan.fromEpoch + 1}`,
        ...failed.map((check) => `not ready: ${check.name}: ${check.detail}`),
        ...(plan.statement ? [renderStatement(plan.statement)] : []),
      ].join('\n'),
      head: ['', 'step', 'why'],
      rows,
    });
    return EXIT.DONE;
  });
}

export function runReady(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const report = await desk.controller.ready();
    const rows = (['switchover', 'failover'] as const).flatMap((verb) =>
      report[verb].checks.map((check) => [
        verb,
        check.name,
        check.isOk ? 'ok' : 'NO',
        check.detail,
      ]),
    );
    printAnswer(desk.format, { json: report, head: ['for', 'check', '', 'detail'], rows });
    return report.switchover.ready ? EXIT.DONE : EXIT.REFUSED;
  });
}

/** Asks one thing of the broker of this region. */
async function tellOwnBroker(desk: Desk, code: number, body: object): Promise<DrStatus> {
  const [address] = Object.values(desk.config.regions[desk.config.region]?.brokers ?? {});
  const opId = randomUUID();
  return desk.drClient.control<DrStatus>(address ?? '', { code, body: { opId, ...body }, opId });
}

/** `dr activate`: the documented way out when a region booted closed. */
export function runActivate(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    await confirm(input, 'Is the other region known to be down and never promoted?');
    const status = await tellOwnBroker(desk, DR_CODE.ACTIVATE, { epoch: input.options['epoch'] });
    printAnswer(desk.format, { json: status, text: `${status.region} is ${status.writeState}` });
    return EXIT.DONE;
  });
}

export function runRelayStop(input: CommandInput): Promise<number> {
  return atDesk(input, async (desk) => {
    const status = await tellOwnBroker(desk, DR_CODE.RELAY_STOP, {});
    printAnswer(desk.format, { json: status, text: `${status.region} no longer relays` });
    return EXIT.DONE;
  });
}

/** `dr switchover fsm`: the decision table as the code has it. */
export function runTable(input: CommandInput): Promise<number> {
  if (input.options['mermaid'] === true) printAnswer('table', { json: null, text: mermaid() });
  else {
    const rows = PLAN.map((row) => [row.from, row.on, row.to, row.action, row.why]);
    printAnswer('table', { json: null, head: ['from', 'on', 'to', 'action', 'why'], rows });
  }
  return Promise.resolve(EXIT.DONE);
}
