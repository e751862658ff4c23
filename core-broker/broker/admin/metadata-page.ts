// One page of a metadata table (codes 21 and 201 of 5.4 and later): rows in order of their names, from a
// number on. Who asks with another version of the table than ours begins again, so that no page mixes two.
// Source: TopicConfigManager.subTopicConfigTable, SubscriptionGroupManager.subGroupTable, behaviour only.
import { parseJson, type RemotingCommand, readDataVersion } from '../../protocol/index.ts';
import { numberField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { JsonObject } from '../metadata/index.ts';

interface PagedTable {
  table: JsonObject;
  dataVersion: unknown;
  /** Names of the header fields: first row, number of rows. */
  from: string;
  max: string;
}

export function pageOf(
  context: HandlerContext,
  request: RemotingCommand,
  { table, dataVersion, from, max }: PagedTable,
): JsonObject {
  const { config } = context.parts;
  const isAsked = [from, max, 'dataVersion'].some((name) => request.ext[name] !== undefined);
  if (!config.enableSplitMetadata || !isAsked) return table;
  const isSame = isVersion(request.ext['dataVersion'], dataVersion);
  const first = isSame ? numberField(request, from, 0) : 0;
  const rows = Math.min(
    numberField(request, max, Number.MAX_SAFE_INTEGER),
    config.splitMetadataSize,
  );
  const names = Object.keys(table)
    .sort()
    .slice(first, first + rows);
  return Object.fromEntries(names.map((name) => [name, table[name]]));
}

function isVersion(text: string | undefined, ours: unknown): boolean {
  if (!text) return false;
  const asked = readDataVersion(parseJson(text));
  return JSON.stringify(asked) === JSON.stringify(readDataVersion(ours));
}
