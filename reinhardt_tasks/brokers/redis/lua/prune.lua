-- Deletes what finished before a moment, and what has expired. ARGV: moment (µs), limit. Returns how many jobs, and the once
-- keys that are free again, with their ids.
local before = answered_before()
if before then
  return before
end
local old = redis.call('ZRANGEBYSCORE', base .. 'ended', '-inf', '(' .. ARGV[1], 'LIMIT', 0, tonumber(ARGV[2]))
local freed = {}
for _, id in ipairs(old) do
  local once = forget(id)
  if once then
    freed[#freed + 1] = once
    freed[#freed + 1] = id
  end
end
return answered({#old, freed}, #old > 0)
