// Where the send kernel and its caller find each other's words: addresses in the memory, and places in
// one shape. Read by both sides, so that there is one truth; numbers only, AssemblyScript compiles it too.
// The first 17408 bytes belong to the CRC tables of crc32.ts, everything behind KERNEL_BYTES to the caller.
// Source: ours.

/** The words of one call, and of its outcome. */
export const CALL = 17_408;
export const CALL_AT = 0;
export const CALL_END = 4;
export const CALL_BODY_MAX = 8;
export const CALL_RECORD_AT = 12;
export const CALL_RECORD_END = 16;
export const CALL_ROW_AT = 20;
export const CALL_ROW_END = 24;
export const CALL_HAS_INDEX = 28;
/** Two doubles. */
export const CALL_PHYSICAL = 32;
export const CALL_STORE_TIME = 40;
/** Shapes to compare with: address of the shape, address of its queues, their number; 0 = no more. */
export const CALL_SHAPES = 48;
export const CALL_SHAPE_BYTES = 12;
export const SHAPES_MAX = 4;
export const DONE_COUNT = 96;
export const DONE_REPLY_END = 100;
/** Messages and bytes of each shape. */
export const DONE_SHAPES = 104;
export const DONE_SHAPE_BYTES = 8;

/** What was read of the frame in hand: the kernel's own. */
export const FRAME = 17_664;
export const FRAME_BORN = 0;
export const FRAME_PHYSICAL = 8;
export const FRAME_QUEUE_OFFSET = 16;
export const FRAME_QUEUE = 24;
export const FRAME_OPAQUE = 28;
export const FRAME_SIZE = 32;

/** Next offsets of queues as doubles, one table per shape; below 0 = not a queue yet. */
export const QUEUES = 17_920;
export const QUEUES_MAX = 64;
export const QUEUES_BYTES = 512;

/** Shapes, each in its slot. */
export const SHAPES = 20_480;
export const SHAPE_BYTES = 8_192;
export const SHAPE_SLOTS = 32;

/** Frames as they came. */
export const CHUNK = 282_624;
export const CHUNK_BYTES = 131_072;
/** What may be read behind the last frame. */
export const SLACK_BYTES = 64;

/** Replies, and of each its end in the log (doubles), the place behind it and its opaque. */
export const REPLIES = 414_720;
export const REPLIES_BYTES = 131_072;
export const HOLDS_MAX = 1_024;
export const ENDS = 546_816;
export const STOPS = 555_008;
export const OPAQUES = 559_104;

/** Digests of records, rows of words as in store/queue/digest/record-row.ts, one behind the other. */
export const ROWS = 563_200;
export const ROWS_BYTES = 524_288;
export const ROW_SIZE = 0;
export const ROW_TOPIC = 4;
export const ROW_QUEUE = 8;
export const ROW_IS_QUEUED = 12;
/** Longs, the high word first. */
export const ROW_QUEUE_OFFSET = 16;
export const ROW_STORE_TIME = 24;
export const ROW_TAG = 32;
export const ROW_KEYS = 40;
export const ROW_HASHES = 44;
export const ROW_HASHES_MAX = 4;
export const ROW_BYTES_MAX = 60;

/** Whole pages. */
export const KERNEL_BYTES = 1_114_112;

/** Type and length of the header as they stand in the frame. */
export const SHAPE_TYPE = 0;
export const SHAPE_HEADER = 4;
/** Bytes of its blocks; text is only in some that follow each other, see below. */
export const SHAPE_BLOCKS_END = 8;
export const SHAPE_IS_BINARY = 12;
/** Place in the header, length. */
export const SHAPE_OPAQUE = 16;
export const SHAPE_QUEUE = 24;
export const SHAPE_BORN = 32;
/** Bytes of the record but its body. */
export const SHAPE_RECORD = 40;
/** Bytes of the record before its body, and where in them the store time stands. */
export const SHAPE_HEAD_BYTES = 44;
export const SHAPE_STORE_TIME = 48;
export const SHAPE_COPIES = 52;
/** Place in the header (below 0 = absent), length. */
export const SHAPE_UNIQUE = 56;
export const SHAPE_TAG = 64;
export const SHAPE_KEYS = 72;
export const SHAPE_KEY_HASH = 80;
export const SHAPE_TOPIC = 84;
export const SHAPE_REPLY_HEAD = 88;
export const SHAPE_REPLY_MAX = 92;
/** Lengths of the pieces of a reply. */
export const SHAPE_PIECES = 96;
export const PIECES = 5;
export const SHAPE_TEXT_FROM = 116;
export const SHAPE_TEXT_END = 120;
/** Copies that make the record behind its body: from the shape or the header, place there, length, exact. */
export const SHAPE_COPY = 128;
export const COPY_BYTES = 16;
export const COPIES_MAX = 64;
export const SHAPE_HEAD = 1_152;
export const HEAD_MAX = 128;
export const SHAPE_REPLY = 1_280;
export const REPLY_HEAD_MAX = 512;
export const SHAPE_PIECE = 1_792;
export const PIECE_BYTES = 64;
/** Per 16 bytes of the header: what is expected, which bits count, which bytes are text. */
export const SHAPE_BLOCKS = 2_112;
export const BLOCK_BYTES = 48;
export const BLOCKS_MAX = 80;
/** Topic and properties as they were in the record the shape was learned from. */
export const SHAPE_TAIL = 5_952;
export const TAIL_MAX = 2_200;
