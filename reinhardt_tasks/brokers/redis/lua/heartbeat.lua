-- Renews a worker's lease.
-- ARGV: worker, lease (µs), fields and values of what it says of itself. Returns {held ids and tokens, ids to be stopped}.
local worker = ARGV[1]
press_on()
redis.call('ZADD', base .. 'workers', string.format('%.0f', now + tonumber(ARGV[2])), worker)
redis.call('HSET', key('worker', worker), 'beat', string.format('%.0f', now), unpack(ARGV, 3))
redis.call('HSETNX', key('worker', worker), 'started', string.format('%.0f', now))
return {redis.call('HGETALL', key('held', worker)), redis.call('SMEMBERS', key('stop', worker))}
