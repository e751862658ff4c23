// Door of the request handlers of operators' tools.
import type { HandlerContext } from '../handler-context.ts';
import { addBrokerHandlers } from './broker-admin.ts';
import { addClientRelays } from './client-relays.ts';
import { addConsumeHandlers } from './consume-admin.ts';
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
  addBrokerHandlers(context);
  addMaintenanceHandlers(context);
  addRequestModeHandlers(context);
}
