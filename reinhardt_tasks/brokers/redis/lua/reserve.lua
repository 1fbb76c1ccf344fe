-- Lets a once key stand for a job, unless it stands for another already.
-- ARGV: once key, id, the job's limits ('' for none). Returns the id that it stands for, and the limits of that job.
local name, limits = key('reserved', ARGV[1]), key('reserved-limits', ARGV[1])
local id = redis.call('GET', name)
if id then
  return {id, redis.call('GET', limits) or ''}
end
redis.call('SET', name, ARGV[2])
redis.call('DEL', limits)
if ARGV[3] ~= '' then
  redis.call('SET', limits, ARGV[3])
end
return {ARGV[2], ARGV[3]}
