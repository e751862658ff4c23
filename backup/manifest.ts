// The manifest of one backup: what it holds, where, and how to prove it. Pure.
// The one idea: nothing exists until its manifest does. It is written last, create-if-absent, as
// canonical JSON inside an envelope with its SHA-256 (and an HMAC in an encrypted repository).
// Invariant: every object it names was stored before it; it is never changed afterwards.
// Invariant: `drEpoch` is never part of a backup: a restored store has to ask who writes.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DrError } from '../core-broker/base/index.ts';
import { keyedDigest, keyId, type RepositoryKey } from './segment/index.ts';

export const MANIFEST_VERSION = 1;

const count = z.int().nonnegative();
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

const segmentSchema = z.strictObject({
  /** SHA-256 of header and index: also the object's key. */
  id: hex64,
  rawBytes: count,
  storedBytes: count,
});

const gapSchema = z.strictObject({ from: count, to: count });

/** Archived bytes that are no valid record: physical offsets, to = where the log goes on. */
const damageSchema = z.strictObject({ file: z.string(), from: count, to: count });

const logFileSchema = z.strictObject({
  name: z.string().regex(/^\d{20}$/),
  startOffset: count,
  /** Size of the file in a store. */
  sizeBytes: z.int().positive(),
  /** Bytes archived from its start; the rest is zero. */
  dataBytes: count,
  mtimeMs: count,
  firstStoreTimestampMs: count.nullable(),
  /** SHA-256 of the first 4 KiB and the last 64 KiB archived: tells whether a file is still the same. */
  edgesSha256: hex64,
  /** Records proven with their CRCs while the file was archived; null: damaged, or never proven. */
  records: count.nullable().default(null),
  segments: z.array(segmentSchema),
});

const metadataSchema = z.strictObject({
  /** Below the store root, or `configuration/<name>` for files named by the operator. */
  path: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.%-]+)*$/)
    .refine((value) => !value.split('/').includes('..')),
  sizeBytes: count,
  mtimeMs: count,
  segments: z.array(segmentSchema),
});

const manifestSchema = z.strictObject({
  formatVersion: z.literal(MANIFEST_VERSION),
  id: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  storeId: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  startedMs: count,
  createdMs: count,
  /** Manifest whose segments were reused. */
  prior: z.string().nullable(),
  encryption: z.strictObject({ keyId: z.string() }).nullable(),
  log: z.strictObject({
    min: count,
    /** Behind the last whole record. */
    max: count,
    fileSizeBytes: count,
    lastStoreTimestampMs: count.nullable(),
    gaps: z.array(gapSchema),
    damage: z.array(damageSchema).default([]),
  }),
  files: z.array(logFileSchema),
  metadata: z.array(metadataSchema),
  /** Consumer and delay offsets that pointed beyond the copied log and were lowered. */
  clampedOffsets: count,
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestFile = z.infer<typeof logFileSchema>;
export type ManifestMetadata = z.infer<typeof metadataSchema>;
export type Damage = z.infer<typeof damageSchema>;
export type SegmentRef = z.infer<typeof segmentSchema>;

const envelopeSchema = z.strictObject({
  manifest: z.unknown(),
  sha256: hex64,
  hmac: hex64.nullable(),
});

/** JSON with sorted keys and no blanks: equal values give equal bytes. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
  return `{${fields.join(',')}}`;
}

/** Bytes to store. @throws DrError UNEXPECTED when the manifest breaks its own rules (our bug) */
export function encodeManifest(manifest: Manifest, key: RepositoryKey | undefined): Buffer {
  const problem = findContradiction(manifestSchema.parse(manifest));
  if (problem) throw new DrError('UNEXPECTED', `manifest ${manifest.id}: ${problem}`);
  const body = canonicalJson(manifest);
  const envelope = {
    manifest,
    sha256: createHash('sha256').update(body).digest('hex'),
    hmac: key ? keyedDigest(key, 'manifest', Buffer.from(body)).toString('hex') : null,
  };
  return Buffer.from(canonicalJson(envelope));
}

/**
 * Reads and proves a stored manifest.
 * @throws DrError CORRUPT (not ours, damaged, contradicts itself); AUTH (another key encrypted it)
 */
export function decodeManifest(
  bytes: Uint8Array,
  what: string,
  key: RepositoryKey | undefined,
): Manifest {
  const envelope = parse(
    () => envelopeSchema.parse(JSON.parse(Buffer.from(bytes).toString())),
    what,
  );
  const body = canonicalJson(envelope.manifest);
  if (createHash('sha256').update(body).digest('hex') !== envelope.sha256) {
    throw new DrError('CORRUPT', `${what}: its SHA-256 does not match`);
  }
  const manifest = parse(() => manifestSchema.parse(envelope.manifest), what);
  const problem = findContradiction(manifest);
  if (problem) throw new DrError('CORRUPT', `${what}: ${problem}`);
  if (key) proveOrigin({ manifest, body, hmac: envelope.hmac }, what, key);
  return manifest;
}

function proveOrigin(
  stored: { manifest: Manifest; body: string; hmac: string | null },
  what: string,
  key: RepositoryKey,
): void {
  if (stored.manifest.encryption === null) return;
  if (stored.manifest.encryption.keyId !== keyId(key)) {
    throw new DrError('AUTH', `${what}: encrypted with key ${stored.manifest.encryption.keyId}`, {
      hint: 'give the key file this backup was made with',
    });
  }
  const hmac = keyedDigest(key, 'manifest', Buffer.from(stored.body)).toString('hex');
  if (hmac !== stored.hmac) throw new DrError('CORRUPT', `${what}: it is not authentic`);
}

function parse<T>(action: () => T, what: string): T {
  try {
    return action();
  } catch (cause) {
    throw new DrError('CORRUPT', `${what}: not a manifest`, { cause });
  }
}

/** Rules across fields: files in order, sizes that add up, gaps and range that agree with the files. */
function findContradiction(manifest: Manifest): string | undefined {
  const { log, files } = manifest;
  let end = log.min;
  const gaps: string[] = [];
  for (const file of files) {
    const isLast = file === files.at(-1);
    const stored = file.segments.reduce((sum, segment) => sum + segment.rawBytes, 0);
    if (file.sizeBytes !== log.fileSizeBytes) return `${file.name} has another size`;
    if (Number(file.name) !== file.startOffset) return `${file.name} starts elsewhere`;
    if (stored !== file.dataBytes) return `${file.name}: segments do not add up`;
    if (isLast ? file.dataBytes > file.sizeBytes : file.dataBytes !== file.sizeBytes) {
      return `${file.name}: ${file.dataBytes} bytes`;
    }
    if (file.startOffset < end) return `${file.name} overlaps`;
    if (file.startOffset > end) gaps.push(`${end}-${file.startOffset}`);
    end = file.startOffset + file.dataBytes;
  }
  if (end !== log.max) return `ends at ${end}, not at ${log.max}`;
  const named = log.gaps.map((gap) => `${gap.from}-${gap.to}`);
  if (gaps.join() !== named.join()) return 'its gaps are not those of its files';
  return findWrongDamage(manifest);
}

function findWrongDamage({ log, files }: Manifest): string | undefined {
  for (const { file: name, from, to } of log.damage) {
    const file = files.find((candidate) => candidate.name === name);
    if (!file || from >= to || from < file.startOffset || to > file.startOffset + file.dataBytes) {
      return `damage at ${from} lies in none of its files`;
    }
    if (file.records !== null) return `${name} is damaged and proven`;
  }
  return undefined;
}

/** True when every record was walked with its CRC while it was archived, and no byte is missing. */
export const isProven = (manifest: Manifest): boolean =>
  isWhole(manifest) && manifest.files.every((file) => file.records !== null);

/** True when nothing is known to be missing or damaged. */
export const isWhole = ({ log }: Manifest): boolean =>
  log.gaps.length === 0 && log.damage.length === 0;

/** Ids of every segment a manifest needs. */
export function segmentsOf(manifest: Manifest): SegmentRef[] {
  return [...manifest.files, ...manifest.metadata].flatMap((part) => part.segments);
}
