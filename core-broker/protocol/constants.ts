// Small tables of the protocol: languages, version ordinals, flag bits, permissions, limits of a record.
// We answer as JAVA 5.5.0: every client version knows the language, and Java consumers use SQL92 and
// other features only when the ordinal they see is high enough.
// Source: LanguageCode, MQVersion, MessageSysFlag, PullSysFlag, PermName, TopicSysFlag.

/** Language name -> byte in the binary header. */
export const LANGUAGE_CODES: Readonly<Record<string, number>> = {
  JAVA: 0,
  CPP: 1,
  DOTNET: 2,
  PYTHON: 3,
  DELPHI: 4,
  ERLANG: 5,
  RUBY: 6,
  OTHER: 7,
  HTTP: 8,
  GO: 9,
  PHP: 10,
  OMS: 11,
  RUST: 12,
  NODE_JS: 13,
};

const LANGUAGE_NAMES: string[] = Object.keys(LANGUAGE_CODES);

/** Name of a language byte; OTHER when unknown, which every peer accepts. */
export const languageName = (code: number): string => LANGUAGE_NAMES[code] ?? 'OTHER';

/** MQVersion ordinals that decide something (each release's SNAPSHOT is one lower). */
export const MqVersion = {
  V3_0_7_SNAPSHOT: 28,
  V3_1_8_SNAPSHOT: 62,
  V3_4_9: 121,
  V4_0_0: 213,
  V4_1_0: 233,
  V4_9_0: 393,
  V4_9_3: 399,
  V4_9_4: 401,
  V4_9_7: 407,
  V4_9_8: 409,
  V5_0_0: 413,
  V5_1_0: 433,
  V5_2_0: 453,
  V5_3_0: 473,
  V5_3_1: 475,
  V5_3_3: 479,
  V5_4_0: 493,
  V5_5_0: 513,
} as const;

/** What we say about ourselves in every command. */
export const OUR_LANGUAGE = 'JAVA';
export const OUR_VERSION: number = MqVersion.V5_5_0;
/** `brokerVersionDesc` of the same version. */
export const OUR_VERSION_TEXT = 'V5_5_0';

const RELEASES_4: readonly (readonly [minor: number, base: number])[] = [
  [0, 213],
  [1, 233],
  [2, 253],
  [3, 273],
  [4, 293],
  [5, 313],
  [6, 333],
  [7, 353],
  [8, 373],
  [9, 393],
];

/**
 * Text of a version ordinal, e.g. 479 -> "V5_3_3", 478 -> "V5_3_3_SNAPSHOT".
 * Every minor release of 4.x and 5.x has 20 ordinals: ten patches, SNAPSHOT before each release.
 */
export function versionText(ordinal: number): string {
  const first4 = RELEASES_4[0]?.[1] ?? 0;
  const base5 = MqVersion.V5_0_0;
  if (ordinal < first4 - 1) return `V3_${ordinal}`;
  const major = ordinal >= base5 - 1 ? 5 : 4;
  const offset = ordinal + 1 - (major === 5 ? base5 : first4);
  const minor = Math.floor(offset / 20);
  const patch = Math.floor((offset % 20) / 2);
  const snapshot = offset % 2 === 0 ? '_SNAPSHOT' : '';
  return `V${major}_${minor}_${patch}${snapshot}`;
}

/** sysFlag of a message. */
export const SysFlag = {
  COMPRESSED: 0x1,
  MULTI_TAGS: 0x2,
  TRANSACTION_PREPARED: 0x4,
  TRANSACTION_COMMIT: 0x8,
  /** Both bits: rollback; also the mask of the transaction bits. */
  TRANSACTION_ROLLBACK: 0xc,
  BORN_HOST_V6: 0x10,
  STORE_HOST_V6: 0x20,
  NEED_UNWRAP: 0x40,
  INNER_BATCH: 0x80,
  COMPRESSION_TYPE_MASK: 0x700,
  COMPRESSION_LZ4: 0x100,
  COMPRESSION_ZSTD: 0x200,
  COMPRESSION_ZLIB: 0x300,
} as const;

/** sysFlag of a pull request. */
export const PullSysFlag = {
  COMMIT_OFFSET: 0x1,
  SUSPEND: 0x2,
  SUBSCRIPTION: 0x4,
  CLASS_FILTER: 0x8,
  LITE_PULL: 0x10,
} as const;

export const Perm = { PRIORITY: 8, READ: 4, WRITE: 2, INHERIT: 1 } as const;
export const TopicSysFlag = { UNIT: 1, UNIT_SUB: 2 } as const;

export const MASTER_ID = 0;
