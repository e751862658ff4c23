// Branded numbers: an offset into the commit log, an offset in a queue and an epoch are never mixed.
// All of them are JavaScript numbers below 2^53; wire decoders throw beyond that.

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Byte position in the commit log of one store; equal on all replicas. */
export type CommitLogOffset = Branded<number, 'CommitLogOffset'>;
/** Position in one topic queue, counted in messages. */
export type QueueOffset = Branded<number, 'QueueOffset'>;
/** Fencing token of a region. Only grows; 0 means "no epochs" (a plain broker). */
export type Epoch = Branded<number, 'Epoch'>;

export const commitLogOffset = (value: number): CommitLogOffset => value as CommitLogOffset;
export const queueOffset = (value: number): QueueOffset => value as QueueOffset;
export const epoch = (value: number): Epoch => value as Epoch;

/** Compile-time proof that a switch is exhaustive; reached only by a bug. */
export function assertNever(value: never): never {
  throw new Error(`unreachable case: ${JSON.stringify(value)}`);
}
