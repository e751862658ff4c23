// Tolerant readers of JSON fields: unknown fields are ignored, missing ones take defaults, numbers and
// booleans may come quoted. A wrong shape where a default would hide an error is PROTOCOL.
import { DrError } from '../../base/index.ts';

export type JsonObject = Record<string, unknown>;

export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DrError('PROTOCOL', `${what}: an object is expected`);
  }
  return value as JsonObject;
}

export const objectOr = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

export const arrayOr = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function numberOr(value: unknown, fallback: number): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return fallback;
  const number = Number(value);
  return Number.isFinite(number) ? number : fallback;
}

export const textOr = (value: unknown, fallback: string): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : fallback;

export const booleanOr = (value: unknown, fallback: boolean): boolean =>
  typeof value === 'boolean'
    ? value
    : value === 'true'
      ? true
      : value === 'false'
        ? false
        : fallback;

/** Map of string values; others are dropped. */
export function textMap(value: unknown): Record<string, string> {
  const entries = Object.entries(objectOr(value)).filter(([, v]) => v !== null && v !== undefined);
  return Object.fromEntries(entries.map(([key, v]) => [key, String(v)]));
}

/** Map of objects through `read`. */
export const mapValues = <T>(
  value: unknown,
  read: (v: unknown, key: string) => T,
): Record<string, T> =>
  Object.fromEntries(Object.entries(objectOr(value)).map(([key, v]) => [key, read(v, key)]));

/** Strings of an array. */
export const texts = (value: unknown): string[] =>
  arrayOr(value).filter((item): item is string => typeof item === 'string');
