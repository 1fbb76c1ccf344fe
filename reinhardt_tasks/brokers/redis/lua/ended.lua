-- How jobs ended that finished in a span of time. ARGV: begin, end (as ZRANGEBYSCORE has them), how many of the first to pass
-- over, how many to look at from there, how many of the last to look at too. Returns a list of status, queue, number in turn.
local low, high = ARGV[1], ARGV[2]
local ids = redis.call('ZRANGEBYSCORE', base .. 'ended', low, high, 'LIMIT', ARGV[3], ARGV[4])
local seen = {}
for _, id in ipairs(ids) do
  seen[id] = true
end
if tonumber(ARGV[5]) > 0 then
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', base .. 'ended', high, low, 'LIMIT', 0, ARGV[5])) do
    if not seen[id] then
      ids[#ids + 1] = id
    end
  end
end
local places, answer = {}, {}
for _, id in ipairs(ids) do
  local found = try('HMGET', key('job', id), 'st', 'q') or {}
  local status, queue = found[1], found[2]
  -- The hash of one may have expired.
  if status and queue then
    local name = status .. '\0' .. queue
    local place = places[name]
    if not place then
      place = #answer + 1
      places[name] = place
      answer[place], answer[place + 1], answer[place + 2] = status, queue, 0
    end
    answer[place + 2] = answer[place + 2] + 1
  end
end
return answer
