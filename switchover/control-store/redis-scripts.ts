// The Lua scripts of the redis control store. Each one is a check and its write in one step.
// All keys of one store share a hash tag, so the scripts also run on a Redis cluster. Lease times are
// those of the Redis server: controllers on several machines need no common clock.

/** KEYS lease · ARGV owner, ttlMs, evictToken -> {1, token} or {0, token, owner, remainingMs} */
const ACQUIRE = `
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'token', 'owner', 'expiresAtMs')
local token = tonumber(row[1] or '0')
if row[2] then
  local remaining = tonumber(row[3]) - nowMs
  if remaining > 0 and token ~= tonumber(ARGV[3]) then
    return {0, token, row[2], remaining}
  end
end
redis.call('HSET', KEYS[1], 'token', token + 1, 'owner', ARGV[1],
  'expiresAtMs', string.format('%.0f', nowMs + tonumber(ARGV[2])))
return {1, token + 1}
`;

/** KEYS lease · ARGV token, ttlMs -> 1 or 0 */
const RENEW = `
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'token', 'owner')
if not row[2] or tonumber(row[1]) ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'expiresAtMs', string.format('%.0f', nowMs + tonumber(ARGV[2])))
return 1
`;

/** KEYS lease · ARGV token. The token stays in the row: it must go on growing. */
const RELEASE = `
if tonumber(redis.call('HGET', KEYS[1], 'token') or '-1') ~= tonumber(ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'expiresAtMs')
return 1
`;

/** KEYS lease -> {} or {token, owner, remainingMs} */
const READ_LEASE = `
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local row = redis.call('HMGET', KEYS[1], 'token', 'owner', 'expiresAtMs')
if not row[2] then return {} end
return {tonumber(row[1]), row[2], tonumber(row[3]) - nowMs}
`;

/** KEYS entry · ARGV expectedVersion, value, channel -> new version or 0 */
const COMPARE_AND_SET = `
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', version + 1, 'value', ARGV[2])
redis.call('PUBLISH', ARGV[3], version + 1)
return version + 1
`;

/** KEYS journal, lease · ARGV record, token ('' = no guard) -> sequence number or -1 */
const APPEND = `
if ARGV[2] ~= '' then
  local row = redis.call('HMGET', KEYS[2], 'token', 'owner')
  if not row[2] or tonumber(row[1]) ~= tonumber(ARGV[2]) then return -1 end
end
return redis.call('RPUSH', KEYS[1], ARGV[1])
`;

/** Command name on the client -> script and number of keys. */
export const REDIS_SCRIPTS = {
  drAcquire: { numberOfKeys: 1, lua: ACQUIRE },
  drRenew: { numberOfKeys: 1, lua: RENEW },
  drRelease: { numberOfKeys: 1, lua: RELEASE },
  drReadLease: { numberOfKeys: 1, lua: READ_LEASE },
  drCompareAndSet: { numberOfKeys: 1, lua: COMPARE_AND_SET },
  drAppend: { numberOfKeys: 2, lua: APPEND },
} as const;
