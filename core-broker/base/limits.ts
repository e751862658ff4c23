// Every bound of the program in one place. A queue, buffer or loop without a line here is a defect.

export const LIMITS = {
  /** Largest frame accepted, length word included (Apache: frameMaxLength). */
  frameBytesMax: 16 * 1024 * 1024,
  /** Largest header of a frame: 200,000 fields would keep everybody waiting for half a second. */
  headerBytesMax: 1024 * 1024,
  /** Bytes of frames that have begun but not ended, over all connections of one server. */
  partialFrameBytesMax: 256 * 1024 * 1024,
  /** Input of a connection is paused above this many unanswered bytes of its requests. */
  connectionInflightBytesMax: 32 * 1024 * 1024,
  /** A connection whose unsent output passes this is closed: the client never reads. */
  connectionOutputBytesMax: 64 * 1024 * 1024,
  connectionsMax: 20_000,
  connectionIdleMs: 120_000,
  /** Commit-log bytes appended but not yet written; senders are paused above it. */
  unflushedBytesMax: 32 * 1024 * 1024,
  propertiesBytesMax: 32_767,
  /** Only retry topics of long groups have more than 127. */
  topicBytesMax: 255,
  bodyBytesMax: 4 * 1024 * 1024,
  /** Sends parked while the region is fenced. */
  parkedBytesMax: 64 * 1024 * 1024,
  parkedMs: 2_500,
  heldPullsMax: 100_000,
  pullReplyBytesMax: 256 * 1024,
  pullReplyMessagesMax: 32,
  relayBufferBytesMax: 4 * 1024 * 1024,
  jsonDepthMax: 64,
} as const;
