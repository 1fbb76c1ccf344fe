-- How many jobs failed, by queue. ARGV: number of the newest that ended badly to look at. Returns 1 where there are more,
-- then queues and numbers in turn.
local limit = tonumber(ARGV[1])
local counts = {}
for _, id in ipairs(redis.call('ZREVRANGEBYLEX', base .. 'failures', '+', '-', 'LIMIT', 0, limit)) do
  local found = try('HMGET', key('job', id), 'st', 'q')
  if found and found[1] == 'FAILURE' and found[2] then
    counts[found[2]] = (counts[found[2]] or 0) + 1
  end
end
local answer = {redis.call('ZCARD', base .. 'failures') > limit and 1 or 0}
for queue, count in pairs(counts) do
  answer[#answer + 1] = queue
  answer[#answer + 1] = count
end
return answer
