// Door of the clients' request handlers other than sends and pulls.
import type { HandlerContext } from '../handler-context.ts';
import { addAssignmentHandler } from './assignment.ts';
import { addClientHandlers } from './client-handlers.ts';
import { addTransactionHandlers } from './end-transaction.ts';
import { addOffsetHandlers } from './offset-handlers.ts';
import { addQueryHandlers } from './query-handlers.ts';
import { addReplyHandler } from './reply-message.ts';
import { addSendBackHandler } from './send-back.ts';
import { addTimerHandlers } from './timer-handlers.ts';

/** Heartbeats, offsets, queries, send-back, replies, ends of transactions, timers. */
export function addHandlers(context: HandlerContext): void {
  addAssignmentHandler(context);
  addClientHandlers(context);
  addOffsetHandlers(context);
  addQueryHandlers(context);
  addReplyHandler(context);
  addSendBackHandler(context);
  addTransactionHandlers(context);
  addTimerHandlers(context);
}
