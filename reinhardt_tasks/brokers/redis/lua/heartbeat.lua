-- Renews a worker's lease.
-- ARGV: worker, lease (µs), fields and values of what it says of itself. Returns {held ids and tokens, ids to be stopped}.
local worker = ARGV[1]
press_on()
redis.call('ZADD', base .. 'workers', string.format('%.0f', now + tonumber(ARGV[2])), worker)
if redis.call('HSET', key('worker', worker), 'beat', now_text, unpack(ARGV, 3)) > 0 then
  -- Nobody knew it yet.
  redis.call('HSETNX', key('worker', worker), 'started', now_text)
end
return {redis.call('HGETALL', key('held', worker)), redis.call('SMEMBERS', key('stop', worker))}
