// The table of admin commands: the only place that names them.
import type { CommandRow } from '../../../command.ts';
import { CLUSTER_ROWS } from './cluster-rows.ts';
import { GROUP_ROWS } from './group-rows.ts';
import { adminRow } from './letters.ts';
import { TOPIC_ROWS } from './topic-rows.ts';

export const ADMIN_COMMANDS: CommandRow[] = [...CLUSTER_ROWS, ...TOPIC_ROWS, ...GROUP_ROWS].map(
  adminRow,
);
