"""Every Lua script that runs in Redis: what must be read and written in one step."""

# Counts an attempt on every key, unless one of them is at its limit.
# KEYS: the counters. ARGV: the limit of each, then the seconds that a count and a lock last.
# Returns 0, or for how many seconds it is locked still.
ADMIT_ATTEMPT = """
local seconds = ARGV[#KEYS + 1]
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then
    return math.max(redis.call('TTL', key), 1)
  end
end
for i, key in ipairs(KEYS) do
  local count = redis.call('INCR', key)
  if count == 1 or count == tonumber(ARGV[i]) then
    redis.call('EXPIRE', key, seconds)
  end
end
return 0
"""

# Takes an attempt back. KEYS: the counters.
FORGIVE_ATTEMPT = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then
    redis.call('DECR', key)
  end
end
return 0
"""
