// What the module `records` offers.
export { crc32, prepare } from './crc32';
