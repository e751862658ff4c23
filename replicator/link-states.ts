// The states of a link and what leads from one to another, as a table. Pure.
//   stopped -> connecting -> catching-up <-> following        normal life
//   any running state -> halted -> connecting                 switchover (durable, by opId)
//   any running state -> failed                               a human must act; nothing is skipped
// A pair that is not in the table is no change: a late "level" after a cut means nothing.
import type { LinkReport } from '../core-broker/protocol/index.ts';

export type LinkState = LinkReport['state'];
export type LinkEvent =
  | 'start'
  | 'attached'
  | 'level'
  | 'behind'
  | 'lost'
  | 'fail'
  | 'halt'
  | 'resume'
  | 'stop';

export interface LinkTransition {
  from: LinkState;
  on: LinkEvent;
  to: LinkState;
  why: string;
}

const RUNNING: readonly LinkState[] = ['connecting', 'catching-up', 'following'];

const each = (states: readonly LinkState[], row: Omit<LinkTransition, 'from'>): LinkTransition[] =>
  states.map((from) => ({ from, ...row }));

export const LINK_TRANSITIONS: readonly LinkTransition[] = [
  { from: 'stopped', on: 'start', to: 'connecting', why: 'this store is a standby' },
  {
    from: 'connecting',
    on: 'attached',
    to: 'catching-up',
    why: 'the source took us: bytes follow',
  },
  { from: 'catching-up', on: 'level', to: 'following', why: 'the sampled end is here' },
  { from: 'following', on: 'behind', to: 'catching-up', why: 'the oldest missing message is old' },
  ...each(['catching-up', 'following'], {
    on: 'lost',
    to: 'connecting',
    why: 'the connection ended: resume at the exact byte',
  }),
  ...each(RUNNING, { on: 'fail', to: 'failed', why: 'going on would lose or mix bytes' }),
  ...each([...RUNNING, 'failed', 'stopped'], {
    on: 'halt',
    to: 'halted',
    why: 'an operation took the link out; durable',
  }),
  { from: 'halted', on: 'resume', to: 'connecting', why: 'the operation that halted it undid it' },
  ...each([...RUNNING, 'failed', 'halted'], { on: 'stop', to: 'stopped', why: 'shut down' }),
];

/** The row that applies, undefined when the event changes nothing in this state. */
export const linkTransition = (from: LinkState, on: LinkEvent): LinkTransition | undefined =>
  LINK_TRANSITIONS.find((row) => row.from === from && row.on === on);
