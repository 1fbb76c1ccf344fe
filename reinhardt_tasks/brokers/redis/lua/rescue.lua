-- Takes over what dead workers hold, and forgets those that hold nothing.
-- ARGV: rescuer, lease (µs), limit. Returns jobs as exchange does; 'wk' and 'sa' are still the lost worker's.
local rescuer, limit = ARGV[1], tonumber(ARGV[3])
local claims = {}
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', base .. 'workers', '-inf', now, 'LIMIT', 0, 100)) do
  if dead ~= rescuer then
    local held = redis.call('HKEYS', key('held', dead))
    for _, id in ipairs(held) do
      if #claims >= limit then
        break
      end
      local job = key('job', id)
      redis.call('HDEL', key('held', dead), id)
      if try('HGET', job, 'hb') == dead then
        local token = redis.call('HINCRBY', job, 'tk', 1)
        redis.call('HSET', job, 'hb', rescuer)
        redis.call('HSET', key('held', rescuer), id, token)
        claims[#claims + 1] = {id, without_log(redis.call('HGETALL', job))}
      end
    end
    if redis.call('EXISTS', key('held', dead)) == 0 then
      redis.call('ZREM', base .. 'workers', dead)
      redis.call('DEL', key('worker', dead), key('stop', dead))
    end
  end
end
if #claims > 0 then
  redis.call('ZADD', base .. 'workers', string.format('%.0f', now + tonumber(ARGV[2])), rescuer)
end
return claims
