// Metrics of the link, dr_link_*: the numbers of its report, read at scrape time. A process runs one
// link at a time; the newest one is what is shown.
import { counter, gauge } from '../core-broker/base/index.ts';
import type { LinkReport } from '../core-broker/protocol/index.ts';

const STATES: readonly LinkReport['state'][] = [
  'stopped',
  'connecting',
  'catching-up',
  'following',
  'halted',
  'failed',
];

let read: (() => LinkReport) | undefined;

const shown = (name: string, help: string, value: (report: LinkReport) => number) =>
  gauge({
    name,
    help,
    collect: (self) => {
      if (read !== undefined) self.set(value(read()));
    },
  });

shown('dr_link_lag_messages', 'messages at the source that are not here', (r) => r.lagMessages);
shown('dr_link_lag_bytes', 'log bytes at the source that are not here', (r) => r.lagBytes);
shown('dr_link_lag_seconds', 'age of the oldest message that is not here', (r) => r.lagMs / 1000);
shown('dr_link_sample_age_seconds', 'age of the last sample of the source', (r) =>
  r.sampledAtMs === 0 ? -1 : (Date.now() - r.sampledAtMs) / 1000,
);
gauge({
  name: 'dr_link_state',
  help: '1 for the state the link is in',
  labelNames: ['state'],
  collect: (self) => {
    const state = read?.().state ?? 'stopped';
    for (const each of STATES) self.set({ state: each }, each === state ? 1 : 0);
  },
});

export const copiedBytes = counter({
  name: 'dr_link_copied_bytes_total',
  help: 'log bytes copied from the source',
});
export const reconnects = counter({
  name: 'dr_link_reconnects_total',
  help: 'connections to the source that ended or could not be made',
});

/** Shows this link from now on. */
export function showLink(report: () => LinkReport): void {
  read = report;
}
