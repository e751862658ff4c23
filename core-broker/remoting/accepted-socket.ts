// How bytes of an accepted socket reach us.
//   events  one fresh chunk per read from the stream: documented, the default
//   reused  one receive buffer for all sockets of the process: no allocation per read
// `reused` rebuilds the socket from its handle with the documented `onread` option; the `handle` option
// of net.Socket and the `_handle` field are not documented, so it is chosen explicitly and tested; a Node
// whose sockets have no such handle is served by events instead.
// Reads are synchronous (fill, then call back), therefore one buffer serves all connections.
import * as net from 'node:net';

export type ReceiveMode = 'events' | 'reused';

const RECEIVE_BYTES = 128 * 1024;
let receiveBuffer: Buffer | undefined;

interface HandleHolder {
  _handle: { useUserBuffer?: unknown } | null | undefined;
}

/** True when this Node can put a buffer of ours under an accepted socket. */
export function canReuse(socket: net.Socket): boolean {
  const handle = (socket as unknown as HandleHolder)._handle;
  return typeof handle?.useUserBuffer === 'function';
}

/**
 * Gives the memory of a chunk back at once. Why: it lies outside the heap, where the collector does not see it
 * in time when little else is allocated; and the next read gets memory that is still in the cache.
 * @param chunk of a socket's stream, which nobody looks at any more
 */
export function freeChunk(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length) buffer.transfer(0);
}

/**
 * Starts delivering bytes to `sink`; a chunk is valid during the call only. A sink that returns false
 * has given the socket away.
 * @returns the socket to use from now on
 */
export function startReading(
  socket: net.Socket,
  mode: ReceiveMode,
  sink: (chunk: Buffer, end: number) => boolean,
): net.Socket {
  if (mode === 'events' || !canReuse(socket)) {
    socket.on('data', (chunk: Buffer) => void sink(chunk, chunk.length));
    // A server in mode `reused` accepts sockets paused.
    if (mode === 'reused') socket.resume();
    return socket;
  }
  receiveBuffer ??= Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  const holder = socket as unknown as HandleHolder;
  const handle = holder._handle;
  holder._handle = null;
  let own: net.Socket | undefined;
  const options = {
    handle,
    onread: {
      buffer: receiveBuffer,
      callback: (size: number, bytes: Uint8Array): boolean => {
        const chunk = bytes as Buffer;
        if (sink(chunk, size)) return true;
        // Handed over: the new owner reads the socket as a stream, from copies.
        return own?.push(Buffer.from(chunk.subarray(0, size))) ?? false;
      },
    },
  };
  own = new net.Socket(options as unknown as net.SocketConstructorOpts);
  // Order: the emptied socket is destroyed when the real one is gone; the server counts it until then.
  own.once('close', () => socket.destroy());
  own.resume();
  return own;
}
