// The layout of a repository inside an object store, and the only writer of its keys.
//   repository.json               format, key id; create-if-absent by `dr backup init`
//   segments/<2 hex>/<id>         immutable, named by their content's proof: equal input, equal object
//   manifests/<storeId>/<id>.json immutable, written last
//   runs/<id>.json, prune.json    marks of who is at work (work-marks.ts)
// Invariant: two writers cannot clobber each other: every put is create-if-absent.
import { DrError } from '../../core-broker/base/index.ts';
import {
  canonicalJson,
  decodeManifest,
  encodeManifest,
  type Manifest,
  type SegmentRef,
} from '../manifest.ts';
import type { ObjectInfo, ObjectStore } from '../object-store/index.ts';
import { keyId, type RepositoryKey } from '../segment/index.ts';

const ROOT_KEY = 'repository.json';
const MANIFESTS = 'manifests/';
const SEGMENTS = 'segments/';
export const REPOSITORY_VERSION = 1;
/** Keys of a repository: one whose root object was lost may be given it again. */
const OURS = /^(manifests\/|segments\/|runs\/|prune\.json$)/;

export const segmentKey = (id: string): string => `${SEGMENTS}${id.slice(0, 2)}/${id}`;
const manifestKey = (storeId: string, id: string): string => `${MANIFESTS}${storeId}/${id}.json`;

/** A stored manifest, or why it cannot be used. */
export interface ManifestEntry {
  key: string;
  storeId: string;
  id: string;
  sizeBytes: number;
  manifest: Manifest | undefined;
  problem: DrError | undefined;
}

interface RepositoryRoot {
  formatVersion: number;
  keyId: string | null;
}

export class Repository {
  readonly store: ObjectStore;
  readonly key: RepositoryKey | undefined;

  constructor(store: ObjectStore, key: RepositoryKey | undefined) {
    this.store = store;
    this.key = key;
  }

  /**
   * Makes the repository. On purpose a step of its own: a target that lost its mount or its bucket looks
   * like a new one, and a run that began afresh there would hide that every backup is gone.
   * @throws DrError REFUSED when other things lie there; UNREACHABLE, AUTH
   */
  async init(): Promise<'created' | 'exists'> {
    await this.store.prepare();
    const root = await this.#readRoot();
    if (root) {
      this.#check(root);
      return 'exists';
    }
    const foreign = (await this.store.list('')).find(({ key }) => !OURS.test(key));
    if (foreign) {
      throw new DrError('REFUSED', `${this.store.where}: not empty (${foreign.key})`, {
        hint: 'name a place of its own for the repository',
      });
    }
    const mine = { formatVersion: REPOSITORY_VERSION, keyId: this.#keyId() };
    const body = Buffer.from(canonicalJson(mine));
    const result = await this.store.put(ROOT_KEY, body, { ifAbsent: true });
    if (result === 'exists') await this.open();
    return result;
  }

  /**
   * Checks that this is a repository we can use.
   * @throws DrError NOT_FOUND (nothing there), AUTH (another key), CORRUPT, REFUSED, UNREACHABLE
   */
  async open(): Promise<void> {
    const root = await this.#readRoot();
    if (root) return this.#check(root);
    throw new DrError('NOT_FOUND', `${this.store.where}: no backup repository there`, {
      hint: 'is the target mounted, the path right? A new repository begins with: dr backup init',
    });
  }

  /** Stores a segment; `isNew` tells whether its bytes had to travel. */
  async putSegment(id: string, object: Uint8Array): Promise<{ isNew: boolean }> {
    const key = segmentKey(id);
    const result = await this.store.putLarge(key, object, { ifAbsent: true });
    if (result === 'created') return { isNew: true };
    const stored = await this.store.head(key);
    if (stored?.sizeBytes === object.length) return { isNew: false };
    // Half an object cannot be seen, so this one was damaged later, or its name is a delete marker.
    // Same id, same content: replacing it is safe and mends older backups.
    await this.store.putLarge(key, object, { ifAbsent: false });
    return { isNew: true };
  }

  getSegment(id: string): Promise<Buffer> {
    return this.store.get(segmentKey(id));
  }

  /** Segments present: id -> object. */
  async listSegments(): Promise<Map<string, ObjectInfo>> {
    const objects = await this.store.list(SEGMENTS);
    return new Map(objects.map((info) => [info.key.slice(info.key.lastIndexOf('/') + 1), info]));
  }

  async deleteSegments(ids: string[]): Promise<void> {
    await this.store.delete(ids.map(segmentKey));
  }

  /** The moment a backup begins to exist. @throws DrError REFUSED when the id is taken */
  async saveManifest(manifest: Manifest): Promise<void> {
    const key = manifestKey(manifest.storeId, manifest.id);
    const body = encodeManifest(manifest, this.key);
    if ((await this.store.putLarge(key, body, { ifAbsent: true })) === 'exists') {
      throw new DrError('REFUSED', `${this.store.where}: backup ${manifest.id} exists already`);
    }
  }

  async deleteManifests(entries: ManifestEntry[]): Promise<void> {
    await this.store.delete(entries.map((entry) => entry.key));
  }

  /** Every manifest, oldest first; a damaged one is listed with its problem. */
  async listManifests(storeId?: string): Promise<ManifestEntry[]> {
    const objects = await this.store.list(
      storeId === undefined ? MANIFESTS : `${MANIFESTS}${storeId}/`,
    );
    const entries: ManifestEntry[] = [];
    for (const info of objects) entries.push(await this.#readEntry(info));
    return entries.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** @throws DrError NOT_FOUND, CORRUPT, AUTH */
  async loadManifest(id: string, storeId?: string): Promise<Manifest> {
    const objects = await this.store.list(MANIFESTS);
    const found = objects.filter((info) => {
      const named = nameOf(info.key);
      return named.id === id && (storeId === undefined || named.storeId === storeId);
    });
    const info = found[0];
    if (!info) {
      throw new DrError('NOT_FOUND', `${this.store.where}: no backup ${id}`, {
        hint: 'dr backup list shows what there is',
      });
    }
    const entry = await this.#readEntry(info);
    if (!entry.manifest) throw entry.problem ?? new DrError('CORRUPT', `${info.key}: unreadable`);
    return entry.manifest;
  }

  #keyId(): string | null {
    return this.key ? keyId(this.key) : null;
  }

  async #readRoot(): Promise<RepositoryRoot | undefined> {
    try {
      return JSON.parse((await this.store.get(ROOT_KEY)).toString()) as RepositoryRoot;
    } catch (reason) {
      if (DrError.is(reason, 'NOT_FOUND')) return undefined;
      if (reason instanceof DrError) throw reason;
      throw new DrError('CORRUPT', `${this.store.where}: ${ROOT_KEY} is damaged`, {
        cause: reason,
      });
    }
  }

  #check(root: RepositoryRoot): void {
    if (root.formatVersion !== REPOSITORY_VERSION) {
      throw new DrError('REFUSED', `${this.store.where}: repository format ${root.formatVersion}`);
    }
    if (root.keyId === this.#keyId()) return;
    const text = root.keyId === null ? 'is not encrypted' : `is encrypted with key ${root.keyId}`;
    throw new DrError('AUTH', `${this.store.where} ${text}`, {
      hint: 'encryptionKeyFile must be the one the repository was made with',
    });
  }

  async #readEntry(info: ObjectInfo): Promise<ManifestEntry> {
    const entry = { key: info.key, ...nameOf(info.key), sizeBytes: info.sizeBytes };
    try {
      const manifest = decodeManifest(await this.store.get(info.key), info.key, this.key);
      if (manifest.id !== entry.id || manifest.storeId !== entry.storeId) {
        throw new DrError('CORRUPT', `${info.key}: holds the manifest of ${manifest.id}`);
      }
      return { ...entry, manifest, problem: undefined };
    } catch (reason) {
      const problem = DrError.from(reason);
      if (problem.code !== 'CORRUPT' && problem.code !== 'AUTH') throw problem;
      return { ...entry, manifest: undefined, problem };
    }
  }
}

function nameOf(key: string): { storeId: string; id: string } {
  const [, storeId = '', file = ''] = key.split('/');
  return { storeId, id: file.replace(/\.json$/, '') };
}

/** Segments of a manifest that are not there, or not in their size. */
export function missingSegments(
  needed: readonly SegmentRef[],
  present: ReadonlyMap<string, ObjectInfo>,
): SegmentRef[] {
  return needed.filter((segment) => present.get(segment.id)?.sizeBytes !== segment.storedBytes);
}
