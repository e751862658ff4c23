// One run of `dr admin COMMAND`: opens the connection, hands the action typed options, prints its answer
// and turns what went wrong into an exit status of the house. mqadmin ends with 0 after nearly every
// failure; here a command that did not do what it says never does.

import { DrError, parseHostPort } from '../../../core-broker/base/index.ts';
import {
  AdminWire,
  type BrokerPlace,
  remoteCode,
  resolveTime,
} from '../../../core-broker/client/index.ts';
import { ResponseCode } from '../../../core-broker/protocol/index.ts';
import { type CommandAction, type CommandInput, textOf } from '../../command.ts';
import { becomeIdentity } from '../../config/identity.ts';
import { EXIT } from '../../exit-status.ts';
import { type Answer, formatOf, printAnswer } from '../../output.ts';

/** What an action returns: the answer, and what could not be done (exit 3, or 1 when nothing was). */
export interface AdminAnswer extends Answer {
  problems?: string[];
}

export type AdminAction = (call: AdminCall) => Promise<AdminAnswer>;

/** The options of one run; names are the long names of mqadmin. */
export class AdminCall {
  readonly wire: AdminWire;
  readonly #input: CommandInput;

  constructor(wire: AdminWire, input: CommandInput) {
    this.wire = wire;
    this.#input = input;
  }

  text(name: string): string | undefined {
    return textOf(this.#input.options[name])?.trim();
  }

  /** A text that the table of commands marks as required. */
  must(name: string): string {
    const value = this.text(name);
    if (value) return value;
    throw new DrError('USAGE', `option --${name} is required`);
  }

  number(name: string, fallback: number): number {
    const value = this.#input.options[name];
    if (value === undefined) return fallback;
    const number = Number(value);
    if (value !== '' && Number.isSafeInteger(number)) return number;
    throw new DrError('USAGE', `--${name}: a whole number is expected, not '${String(value)}'`);
  }

  /** `true`, `false`, or the bare flag. */
  flag(name: string, fallback = false): boolean {
    const value = this.#input.options[name];
    if (value === undefined) return fallback;
    if (value === true || value === 'true') return true;
    if (value === false || value === 'false') return false;
    throw new DrError('USAGE', `--${name}: true or false is expected, not '${String(value)}'`);
  }

  /** ms since 1970 of a time option, undefined when it was not given. */
  time(name: string): number | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : resolveTime(value, Date.now());
  }

  /** A broker's address. @throws DrError USAGE when it is no host:port */
  address(name = 'brokerAddr'): string | undefined {
    const value = this.text(name);
    if (value === undefined || parseHostPort(value)) return value;
    throw new DrError('USAGE', `--${name}: '${value}' is not host:port`, {
      hint: 'a broker is named by its address here; dr admin clusterList shows it',
    });
  }

  /** The broker of -b, or every master of the cluster of -c. */
  async brokers(): Promise<string[]> {
    return (await this.places()).map((place) => place.address);
  }

  /** As brokers(), with names where they are known. */
  async places(replicas: 'masters' | 'all' = 'masters'): Promise<BrokerPlace[]> {
    const address = this.address();
    if (address !== undefined) {
      return [{ cluster: '', brokerName: '', brokerId: '0', address }];
    }
    const cluster = this.text('clusterName');
    if (cluster === undefined) {
      throw new DrError('USAGE', 'say which broker: -b HOST:PORT, or -c CLUSTER for all of one', {
        hint: 'dr admin clusterList shows both',
      });
    }
    const found = await this.wire.places(cluster);
    const chosen = found.filter((place) => replicas === 'all' || place.brokerId === '0');
    if (chosen.length > 0) return chosen;
    throw new DrError('UNREACHABLE', `cluster ${cluster} has no master broker registered now`);
  }
}

/** Wraps an action as a command of `dr`. */
export function adminCommand(action: AdminAction): CommandAction {
  return async (input) => {
    becomeIdentity(undefined, {});
    const wire = new AdminWire({
      nameservers: nameserversOf(textOf(input.options['namesrvAddr'])),
      timeoutMs: Number(input.options['timeout'] ?? 5_000),
    });
    try {
      const answer = await action(new AdminCall(wire, input));
      printAnswer(formatOf(input), answer);
      for (const problem of answer.problems ?? []) process.stderr.write(`dr: ${problem}\n`);
      return (answer.problems?.length ?? 0) === 0 ? EXIT.DONE : EXIT.INCOMPLETE;
    } catch (reason) {
      throw explained(reason);
    } finally {
      wire.close();
    }
  };
}

/** `a:1;b:2` or with commas. @throws DrError USAGE */
export function nameserversOf(text: string | undefined): string[] {
  const list = (text ?? '')
    .split(/[;,]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const bad = list.find((address) => !parseHostPort(address));
  if (bad === undefined) return list;
  throw new DrError('USAGE', `-n: '${bad}' is not host:port`, {
    hint: 'several name servers are divided by ; and in quotes',
  });
}

/** Response codes that mean something an operator can act on. */
const MEANINGS: ReadonlyMap<number, { code: 'NOT_FOUND' | 'AUTH' | 'REFUSED'; hint: string }> =
  new Map([
    [
      ResponseCode.TOPIC_NOT_EXIST,
      { code: 'NOT_FOUND' as const, hint: 'dr admin topicList names every topic' },
    ],
    [
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      { code: 'NOT_FOUND' as const, hint: 'dr admin updateSubGroup makes the group' },
    ],
    [
      ResponseCode.CONSUMER_NOT_ONLINE,
      { code: 'NOT_FOUND' as const, hint: 'no member of the group is connected to this broker' },
    ],
    [
      ResponseCode.QUERY_NOT_FOUND,
      { code: 'NOT_FOUND' as const, hint: 'nothing is stored under this name' },
    ],
    [
      ResponseCode.NO_PERMISSION,
      { code: 'AUTH' as const, hint: 'the broker asks for an access key with the admin right' },
    ],
    [
      ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
      { code: 'REFUSED' as const, hint: 'this version of the broker does not know the request' },
    ],
  ]);

function explained(reason: unknown): DrError {
  const failure = DrError.from(reason);
  if (failure.code === 'USAGE' && failure.message === 'no name server given') {
    return new DrError('USAGE', 'no name server given', {
      hint: 'say -n HOST:PORT or set NAMESRV_ADDR',
    });
  }
  if (failure.code === 'NO_ROUTE') {
    const hint =
      failure.hint ??
      'dr admin topicList names every topic, dr admin clusterList the brokers that are up';
    return new DrError('NO_ROUTE', failure.message, { hint, context: failure.context });
  }
  if (failure.code === 'NETWORK' && failure.hint === undefined) {
    const hint =
      'is the server there running, and the way to it open? dr doctor -n HOST:PORT looks';
    return new DrError('NETWORK', failure.message, { hint, context: failure.context });
  }
  if (failure.code === 'PROTOCOL' && failure.hint === undefined) {
    const hint = 'something answers there, but not as RocketMQ does: is it the right port?';
    return new DrError('PROTOCOL', failure.message, { hint, context: failure.context });
  }
  const meaning = MEANINGS.get(remoteCode(failure) ?? -1);
  if (meaning === undefined) return failure;
  const { hint } = meaning;
  return new DrError(meaning.code, failure.message, { hint, context: failure.context });
}
