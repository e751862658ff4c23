// Small bytes that are kept for long, in memory of their own. Buffer.from and Buffer.concat cut small
// buffers out of a shared slab of 64 KiB that lives as long as any piece of it: a table of some thousand
// names, learned one by one between other work, holds hundreds of megabytes that way.
// Source: Node's documentation of Buffer.poolSize.

/** The parts in a row, copied. */
export function keptBytes(...parts: readonly (string | Uint8Array)[]): Buffer {
  const sizes = parts.map((part) => Buffer.byteLength(part));
  // Not allocUnsafe, which is what takes from the slab.
  const out = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  parts.forEach((part, i) => {
    if (typeof part === 'string') out.write(part, at);
    else out.set(part, at);
    at += sizes[i] ?? 0;
  });
  return out;
}
