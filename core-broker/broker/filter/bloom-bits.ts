// Bits of a consumer in Apache's Bloom filter of a message. We compute no such filters ourselves, but the
// positions stand in consumerFilter.json, and an Apache broker drops the whole file when one is missing
// or of another size. The hash is the first half of MurmurHash3 x64 128, seed 0.
// Source: BloomFilter.calcBitPositions, behaviour only; MurmurHash3 by A. Appleby (public domain).

const MASK = (1n << 64n) - 1n;
const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

export interface BloomBits {
  bitNum: number;
  bitPos: number[];
}

/**
 * @param errorPercent  maxErrorRateOfBloomFilter
 * @param consumers  expectConsumerNumUseFilter
 */
export function bloomBits(text: string, errorPercent: number, consumers: number): BloomBits {
  const rate = errorPercent / 100;
  const hashes = Math.ceil(Math.log(rate) / Math.log(0.5));
  const bits = Math.ceil((consumers * Math.log2(1 / rate)) / Math.LN2);
  const bitNum = 8 * Math.ceil(bits / 8);
  const hash = murmur64(Buffer.from(text));
  const low = Number(BigInt.asIntN(32, hash));
  const high = Number(BigInt.asIntN(32, hash >> 32n));
  const bitPos: number[] = [];
  for (let i = 1; i <= hashes; i++) {
    const combined = (low + Math.imul(i, high)) | 0;
    bitPos.push((combined < 0 ? ~combined : combined) % bitNum);
  }
  return { bitNum, bitPos };
}

/** First 64 bits of MurmurHash3 x64 128 with seed 0. */
export function murmur64(bytes: Buffer): bigint {
  let one = 0n;
  let two = 0n;
  const whole = bytes.length - (bytes.length % 16);
  for (let at = 0; at < whole; at += 16) {
    one ^= mixOne(bytes.readBigUInt64LE(at));
    one = times5(rotate(one, 27n) + two, 0x52dce729n);
    two ^= mixTwo(bytes.readBigUInt64LE(at + 8));
    two = times5(rotate(two, 31n) + one, 0x38495ab5n);
  }
  const tail = Buffer.alloc(16);
  bytes.copy(tail, 0, whole);
  two ^= mixTwo(tail.readBigUInt64LE(8));
  one ^= mixOne(tail.readBigUInt64LE(0));
  one ^= BigInt(bytes.length);
  two ^= BigInt(bytes.length);
  one = (one + two) & MASK;
  two = (two + one) & MASK;
  return (finish(one) + finish(two)) & MASK;
}

const rotate = (value: bigint, by: bigint): bigint =>
  ((value << by) | (value >> (64n - by))) & MASK;
const times5 = (value: bigint, plus: bigint): bigint => ((value & MASK) * 5n + plus) & MASK;
const mixOne = (word: bigint): bigint => (rotate((word * C1) & MASK, 31n) * C2) & MASK;
const mixTwo = (word: bigint): bigint => (rotate((word * C2) & MASK, 33n) * C1) & MASK;

function finish(value: bigint): bigint {
  let mixed = value ^ (value >> 33n);
  mixed = (mixed * 0xff51afd7ed558ccdn) & MASK;
  mixed ^= mixed >> 33n;
  mixed = (mixed * 0xc4ceb9fe1a85ec53n) & MASK;
  return mixed ^ (mixed >> 33n);
}
