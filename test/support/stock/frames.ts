// Recorded frames of stock servers, and what makes two answers to one request alike: code, header fields
// and the kind of their values, and the shape of the body (JSON: keys and kinds; records: everything
// but times and addresses; properties text: keys).
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  decodeRecords,
  parseJson,
  parseMessageProperties,
  type RemotingCommand,
} from '../../../core-broker/protocol/index.ts';
import type { Exchange } from './tap-wire.ts';

const FRAMES = path.resolve(import.meta.dirname, '../../fixtures/frames');

export const recordedExchanges = (version: string): Exchange[] =>
  JSON.parse(fs.readFileSync(path.join(FRAMES, `${version}.json`), 'utf8')) as Exchange[];

/** Every way in which `ours` is unlike `theirs`, one line each; empty = alike. */
export function compareAnswers(theirs: RemotingCommand, ours: RemotingCommand): string[] {
  const found: string[] = [];
  if (theirs.code !== ours.code) found.push(`code ${theirs.code} -> ${ours.code}`);
  found.push(...compareShapes('ext', shapeOf(theirs.ext), shapeOf(ours.ext)));
  found.push(...compareShapes('body', bodyShape(theirs.body), bodyShape(ours.body)));
  return found.sort();
}

type Shape = Map<string, string>;

function compareShapes(what: string, theirs: Shape, ours: Shape): string[] {
  const found: string[] = [];
  for (const [key, kind] of theirs) {
    const mine = ours.get(key);
    if (mine === undefined) found.push(`${what}: without ${key}`);
    else if (mine !== kind) found.push(`${what}: ${key} is ${mine}, not ${kind}`);
  }
  for (const key of ours.keys()) if (!theirs.has(key)) found.push(`${what}: also ${key}`);
  return found;
}

/** What kind of text a header value is; small counts are compared as they are. */
function kindOf(text: string): string {
  if (/^-?\d{1,9}$/.test(text)) return text;
  if (/^-?\d+$/.test(text)) return 'number';
  if (/^(true|false)$/.test(text)) return text;
  if (/^([0-9A-F]{32},?)+$/.test(text)) return `${text.split(',').length} ids`;
  return 'text';
}

function shapeOf(ext: Record<string, string>): Shape {
  return new Map(Object.entries(ext).map(([key, value]) => [key, kindOf(value)] as const));
}

export function bodyShape(body: Buffer | undefined): Shape {
  if (body === undefined || body.length === 0) return new Map();
  if (body[0] === 0x7b || body[0] === 0x5b) {
    const shape: Shape = new Map();
    walk('', parseJson(body.toString()), shape);
    return shape;
  }
  if (body.length > 91 && body.readUInt32BE(4) === 0xdaa320a7) return recordShape(body);
  const lines = body.toString().split('\n');
  return new Map(lines.filter((line) => line.includes('=')).map(keyOfLine));
}

const keyOfLine = (line: string) => [line.slice(0, line.indexOf('=')), 'setting'] as const;

/** Names that carry addresses, ports or levels are generalised; lists are seen through their items. */
function walk(at: string, value: unknown, shape: Shape): void {
  if (Array.isArray(value)) {
    shape.set(`${at}[]`, 'list');
    for (const item of value) walk(`${at}[]`, item, shape);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      const isPlace = key.startsWith('{') || /:\d+$|^\//.test(key);
      const name = isPlace ? '*' : key.replace(/_\/.*$/, '_PATH');
      walk(`${at}.${name}`, item, shape);
    }
  } else if (value !== null && value !== undefined) shape.set(at, typeof value);
}

/** Records may differ in times, addresses and ids that were made, in nothing else. */
function recordShape(body: Buffer): Shape {
  const rows = decodeRecords(body).map((record, i): [string, string][] => {
    const properties = parseMessageProperties(record.properties);
    const at = `record ${i}`;
    return [
      [`${at} place`, `${record.topic}/${record.queueId}/${record.queueOffset}`],
      [`${at} flags`, `${record.flag} ${record.sysFlag} ${record.reconsumeTimes}`],
      [`${at} body`, `${record.bodyCrc} ${record.body.length} ${record.bornTimestampMs}`],
      ...[...properties].map(([key, value]): [string, string] => [`${at} ${key}`, value]),
    ];
  });
  return new Map(rows.flat());
}
