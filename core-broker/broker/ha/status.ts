// Answer of code 907 (mqadmin haStatus): which peers copy this log and how far they are.
// Source: HARuntimeInfo of Apache RocketMQ 5.x, behaviour only.
import type { ResponseInit } from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { HaServer } from './server.ts';

/** A slave this close counts as in sync (Apache: haMaxGapNotInSync). */
const IN_SYNC_GAP_BYTES = 256 * 1024 * 1024;

export function haStatus(server: HaServer, store: MessageStore): ResponseInit {
  const end = store.storeBounds().maxOffset as number;
  const connections = server.peers.map((peer) => ({
    addr: peer.address,
    diff: end - peer.ackOffset,
    inSync: end - peer.ackOffset < IN_SYNC_GAP_BYTES,
    slaveAckOffset: peer.ackOffset,
    transferFromWhere: peer.sentFrom,
    transferredByteInSecond: peer.bytesPerSecond,
  }));
  const body = {
    haClientRuntimeInfo: {
      activated: false,
      lastReadTimestamp: 0,
      lastWriteTimestamp: 0,
      masterFlushOffset: 0,
      maxOffset: 0,
      transferredByteInSecond: 0,
    },
    haConnectionInfo: connections,
    inSyncSlaveNums: connections.filter((connection) => connection.inSync).length,
    master: store.guard.state.role === 'active',
    masterCommitLogMaxOffset: end,
  };
  return { code: 0, body: JSON.stringify(body) };
}
