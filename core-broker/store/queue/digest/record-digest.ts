// What queues and index want to know of one record, and nothing else: made from the record's bytes by
// the digester (also on another thread) or filled by whoever encodes the record, then entered by the
// dispatcher. A flat object that is reused: whoever keeps something of it copies it.
// Invariant: `keyHashes` counts only up to `keyCount`; begin() comes before the keys of a record.
// Source: RocketMQ DispatchRequest, behaviour only.

const KEYS_FIRST = 8;

export class RecordDigest {
  physicalOffset = 0;
  /** Bytes of the whole record. */
  size = 0;
  queueId = 0;
  queueOffset = 0;
  storeTimestampMs = 0;
  /** False for prepared and rolled back messages: they have no consume queue entry. */
  isQueued = true;
  /** Hash of the tag (signed); for delayed messages the time they are due, ms; 0 = no tag. */
  tagsCode = 0;
  keyCount = 0;
  /** Hashes of the index keys, not negative, in the order they are indexed. */
  keyHashes = new Int32Array(KEYS_FIRST);

  /** Forgets the keys of the record before. */
  begin(): void {
    this.keyCount = 0;
  }

  addKey(hash: number): void {
    if (this.keyCount === this.keyHashes.length) this.#grow();
    this.keyHashes[this.keyCount++] = hash;
  }

  #grow(): void {
    const grown = new Int32Array(this.keyHashes.length * 2);
    grown.set(this.keyHashes);
    this.keyHashes = grown;
  }
}
