// Door of the segments: the object format, its codec, encryption and the worker threads.
export { buildSegment, openSegment } from './codec.ts';
export { FRAME_BYTES, SEGMENT_BYTES } from './format.ts';
export { Gate } from './gate.ts';
export { SegmentPool } from './pool.ts';
export type { RangeScan } from './record-scan.ts';
export { keyedDigest, keyId, type RepositoryKey, readKeyFile } from './seal.ts';
