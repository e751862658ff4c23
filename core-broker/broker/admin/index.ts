// Door of the request handlers of operators' tools.
import type { HandlerContext } from '../handler-context.ts';
import { addClientRelays } from './client-relays.ts';
import { addConfigHandlers } from './config-update.ts';
import { addConsumeHandlers } from './consume-admin.ts';
import { addFigureHandlers } from './figures/index.ts';
import { addGroupHandlers } from './group-admin.ts';
import { addMaintenanceHandlers } from './maintenance.ts';
import { addOffsetAdminHandlers } from './offset-admin.ts';
import { addRequestModeHandlers } from './request-modes.ts';
import { addTopicHandlers } from './topic-admin.ts';

/** Topics, groups, consumption, offsets, clients, the broker itself. */
export function addAdminHandlers(context: HandlerContext): void {
  addTopicHandlers(context);
  addGroupHandlers(context);
  addConsumeHandlers(context);
  addOffsetAdminHandlers(context);
  addClientRelays(context);
  addConfigHandlers(context);
  addFigureHandlers(context);
  addMaintenanceHandlers(context);
  addRequestModeHandlers(context);
}
export { diskRatio } from './figures/index.ts';
