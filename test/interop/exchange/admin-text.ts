// What is comparable in the text of an mqadmin command: addresses, times, ids made from addresses and
// rates are replaced by words, runs of blanks become one.

/** Lines without what differs between two regions in the same state; empty lines are left out. */
export function normalised(text: string, at: { nameserver: string; broker: string }): string[] {
  return text
    .replaceAll(at.broker, 'BROKER')
    .replaceAll(at.nameserver, 'NAMESERVER')
    .split('\n')
    .map(plainLine)
    .filter((line) => line !== '' && !/^(OpenJDK|WARNING|RocketMQLog)/.test(line));
}

function plainLine(line: string): string {
  return line
    .replace(/\d{4}-\d\d-\d\d[ #]\d\d:\d\d:\d\d([:,]\d{3})?/g, 'TIME')
    .replace(/\/?127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replace(/127\.0\.0\.1@\d+#\d+/g, 'CLIENT')
    .replace(/\b7F0000010000[0-9A-F]{20}\b/g, 'OFFSETID')
    .replace(/\b[0-9A-F]{32,56}\b/g, (id) => (id.startsWith('7F0000010FA0') ? id : 'ID'))
    .replace(/(storeTimestamp|STORETIME|commitLogOffset|queryTime)[=:]\s*\d+/g, '$1=N')
    .replace(/\b\d{13}\b/g, 'MS')
    .replace(/\bV\d_\d_\d+\b/g, 'VERSION')
    .replace(/\b\d+\.\d+\b/g, 'RATE')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Line without what 4.9 does not store with a message, and the sizes and places that follow from it. */
export function withoutNewerParts(line: string): string {
  return line
    .replace(/(MSG_REGION=DefaultRegion|TRACE_ON=true)(, )?/g, '')
    .replaceAll(', }', '}')
    .replace(/(storeSize|physicOffset|physicSize)=\d+/g, '$1=N')
    .replace(/(CommitLog Offset:) \d+/g, '$1 N');
}

/** `key SEPARATOR value` lines as a table. */
export function settingsIn(text: string, separator: string): Map<string, string> {
  const rows = text.split('\n').flatMap((line): [string, string][] => {
    const at = line.indexOf(separator);
    return at <= 0 ? [] : [[line.slice(0, at).trim(), line.slice(at + 1).trim()]];
  });
  return new Map(rows);
}
