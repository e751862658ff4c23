// Order from an operator to clean up (306, 316, 329), and the questions replicas and controllers ask of a
// master (905, 906, 908). A standby deletes nothing: its copy follows the active side.
// Source: AdminBrokerProcessor, behaviour only.
import {
  isSystemTopic,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { OK } from '../response-codes.ts';

export function addMaintenanceHandlers(context: HandlerContext): void {
  const { requests, store } = context.parts;
  requests.on(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, () => {
    store.trimQueues();
    return OK;
  });
  requests.on(RequestCode.CLEAN_UNUSED_TOPIC, () => cleanUnused(context));
  requests.on(RequestCode.DELETE_EXPIRED_COMMITLOG, () => {
    store.deleteExpired();
    return OK;
  });
  requests.on(RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, () => OK);
  requests.on(RequestCode.EXCHANGE_BROKER_HA_INFO, (request) => haInfo(context, request));
  // Only a slave keeps the master's flush offset; there is none here.
  requests.on(RequestCode.RESET_MASTER_FLUSH_OFFSET, () => OK);
}

/** Queues of topics that nobody has configured any more. */
async function cleanUnused(context: HandlerContext): Promise<ResponseInit> {
  requireOwnMetadata(context);
  const { store, tables, admission } = context.parts;
  for (const name of store.topicNames()) {
    // Asked again in the tick of the deletion: a seal in between has counted these queues.
    const isUnused = (): boolean =>
      admission.current.mayCreate && !isSystemTopic(name) && tables.topics.find(name) === undefined;
    if (isUnused()) await store.removeTopic(name, isUnused);
  }
  return OK;
}

/** A slave asks with empty fields where to copy from; what it tells about a master is not for us. */
function haInfo({ parts }: HandlerContext, request: RemotingCommand): ResponseInit {
  if (request.ext['masterHaAddress'] !== undefined) return OK;
  return {
    code: ResponseCode.SUCCESS,
    ext: {
      masterAddress: parts.advertised(),
      masterFlushOffset: parts.store.storeBounds().flushedOffset,
      masterHaAddress: parts.haAddress(),
    },
  };
}
