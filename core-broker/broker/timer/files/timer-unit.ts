// One entry of the timer log: which record waits, for which slot, and the entry before it in that slot.
//   int32 size 52 | int64 previous | int32 magic | int64 enqueueTime | int32 delayMs
//   | int64 physicalOffset | int32 recordSize | int32 hash of the real topic | int64 reserved
// A file ends with a blank: int32 bytes left, int64 0, int32 blank magic.
// Source: RocketMQ TimerLog and TimerMessageStore.doEnqueue (5.5.0), layout only.

export const UNIT_BYTES = 52;
export const BLANK_BYTES = 16;
/** Java: 0xBBCCDDEE ^ 1880681586 + 8, where the sum comes first. */
export const BLANK_MAGIC = (0xbbccddee ^ (1_880_681_586 + 8)) | 0;

export const UnitMagic = { DEFAULT: 1, ROLL: 2, DELETE: 4 } as const;

export interface TimerUnit {
  /** Position of the entry before in the same slot, -1 = none. */
  previous: number;
  magic: number;
  /** Write time when it was put, ms. */
  enqueuedMs: number;
  /** Slot it stands in, ms. */
  slotMs: number;
  physicalOffset: number;
  sizeBytes: number;
  topicHash: number;
}

export function encodeUnit(out: Buffer, at: number, unit: TimerUnit): void {
  out.writeInt32BE(UNIT_BYTES, at);
  writeLong(out, at + 4, unit.previous);
  out.writeInt32BE(unit.magic, at + 12);
  writeLong(out, at + 16, unit.enqueuedMs);
  out.writeInt32BE(unit.slotMs - unit.enqueuedMs, at + 24);
  writeLong(out, at + 28, unit.physicalOffset);
  out.writeInt32BE(unit.sizeBytes, at + 36);
  out.writeInt32BE(unit.topicHash, at + 40);
  writeLong(out, at + 44, 0);
}

/** The entry at `at`, 'blank' at the end of a file, undefined when there is none. */
export function decodeUnit(bytes: Buffer, at: number): TimerUnit | 'blank' | undefined {
  const magic = bytes.readInt32BE(at + 12);
  if (magic === BLANK_MAGIC) return 'blank';
  if (bytes.readInt32BE(at) !== UNIT_BYTES || (magic | 0xf) !== 0xf) return undefined;
  const enqueuedMs = readLong(bytes, at + 16);
  return {
    previous: readLong(bytes, at + 4),
    magic,
    enqueuedMs,
    slotMs: enqueuedMs + bytes.readInt32BE(at + 24),
    physicalOffset: readLong(bytes, at + 28),
    sizeBytes: bytes.readInt32BE(at + 36),
    topicHash: bytes.readInt32BE(at + 40),
  };
}

/** Signed 64 bits as a number; what is beyond 2^53 is no position and no time. */
export const readLong = (bytes: Buffer, at: number): number =>
  bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);

export function writeLong(out: Buffer, at: number, value: number): void {
  out.writeInt32BE(Math.floor(value / 0x1_0000_0000), at);
  out.writeUInt32BE(value >>> 0, at + 4);
}
