// Include and exclude lists for names: exact, or a prefix with a closing `*`. Exclude wins. Pure.

export interface NameLists {
  include: readonly string[];
  exclude: readonly string[];
}

const matches = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
  );

/** True when the name follows the link; an empty include list means every name. */
export const isIncluded = (lists: NameLists, name: string): boolean =>
  !matches(lists.exclude, name) && (lists.include.length === 0 || matches(lists.include, name));
