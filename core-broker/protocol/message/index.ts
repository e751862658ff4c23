// Door of the message formats: record, batch, properties, ids, hashes, checksums, hosts.
export * from './batch.ts';
export * from './crc32.ts';
export * from './host.ts';
export * from './int64.ts';
export * from './java-hash.ts';
export * from './message-id.ts';
export * from './properties.ts';
export * from './record.ts';
export * from './words.ts';
