// Every request that makes a broker write, and what becomes of it on a side that takes no writes: fenced,
// sealed, standby, deposed or closed. One table, read by the dispatcher and walked by the tests.
//   parked   waits while a switch is under way, then goes on here or at the new side; else refused
//   refused  at once: a later copy of the metadata would undo it, or its sender tries again by itself
//   pushed   its answer goes to the client that waits; only the stored copy is left out
//   own      concerns this broker alone and nothing the link carries; done in every role
//   idle     answered with success; a standby deletes nothing, its copy follows the active side
// Invariant: safety is the guard in store.append; this table is what clients and tools see of it.
// Source: ours (switchover "What clients see").
import { RequestCode } from '../protocol/index.ts';

export type WhenClosed = 'parked' | 'refused' | 'pushed' | 'own' | 'idle';

export const WRITE_CODES: ReadonlyMap<number, WhenClosed> = new Map<number, WhenClosed>([
  [RequestCode.SEND_MESSAGE, 'parked'],
  [RequestCode.SEND_MESSAGE_V2, 'parked'],
  [RequestCode.SEND_BATCH_MESSAGE, 'parked'],
  [RequestCode.END_TRANSACTION, 'parked'],
  [RequestCode.RECALL_MESSAGE, 'parked'],
  // A switch must not keep an answer from a client that still waits for it here.
  [RequestCode.SEND_REPLY_MESSAGE, 'pushed'],
  [RequestCode.SEND_REPLY_MESSAGE_V2, 'pushed'],
  // The consumer keeps the message and sends it back again.
  [RequestCode.CONSUMER_SEND_MSG_BACK, 'refused'],
  [RequestCode.UPDATE_CONSUMER_OFFSET, 'refused'],
  [RequestCode.RESUME_CHECK_HALF_MESSAGE, 'refused'],
  [RequestCode.UPDATE_AND_CREATE_TOPIC, 'refused'],
  [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, 'refused'],
  [RequestCode.DELETE_TOPIC_IN_BROKER, 'refused'],
  [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, 'refused'],
  [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, 'refused'],
  [RequestCode.DELETE_SUBSCRIPTIONGROUP, 'refused'],
  [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, 'refused'],
  [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, 'refused'],
  [RequestCode.CLONE_GROUP_OFFSET, 'refused'],
  [RequestCode.SET_MESSAGE_REQUEST_MODE, 'refused'],
  [RequestCode.CLEAN_UNUSED_TOPIC, 'refused'],
  [RequestCode.UPDATE_BROKER_CONFIG, 'own'],
  [RequestCode.UPDATE_AND_CREATE_ACL_CONFIG, 'own'],
  [RequestCode.DELETE_ACL_CONFIG, 'own'],
  [RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, 'own'],
  [RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, 'idle'],
  [RequestCode.DELETE_EXPIRED_COMMITLOG, 'idle'],
]);

/** True for requests beside sends that wait for the end of a switch. */
export const isParkedRequest = (code: number): boolean => WRITE_CODES.get(code) === 'parked';
