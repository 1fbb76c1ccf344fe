-- The ranks of the first ready jobs, for whoever has to choose among shards. ARGV: number, queues; none: all. Returns ranks
-- and ids in turn.
local limit = tonumber(ARGV[1])
local queues = #ARGV > 1 and {unpack(ARGV, 2)} or redis.call('SMEMBERS', base .. 'queues')
local answer = {}
for _, queue in ipairs(queues) do
  if redis.call('SISMEMBER', base .. 'paused', queue) == 0 and not is_queue_sound(queue) then
    promote(queue)
    for _, value in ipairs(redis.call('ZRANGE', key('ready', queue), 0, limit - 1, 'WITHSCORES')) do
      answer[#answer + 1] = value
    end
  end
end
return answer
