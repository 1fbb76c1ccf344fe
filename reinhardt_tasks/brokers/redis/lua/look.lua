-- Whether something is ready, and when the next job is due.
-- ARGV: queues; none: all. Returns {1 or 0, microseconds until the next is due ('' where none is)}, the queues it looked at.
local queues = #ARGV > 0 and ARGV or redis.call('SMEMBERS', base .. 'queues')
local nearest
for _, queue in ipairs(queues) do
  if redis.call('SISMEMBER', base .. 'paused', queue) == 0 then
    if (try('ZCARD', key('ready', queue)) or 0) > 0 then
      return {1, ''}
    end
    for _, kind in ipairs({'later', 'retry'}) do
      local head = try('ZRANGE', key(kind, queue), 0, 0, 'WITHSCORES')
      if head and head[2] and (not nearest or tonumber(head[2]) < nearest) then
        nearest = tonumber(head[2])
      end
    end
  end
end
if nearest and nearest <= now then
  return {1, ''}
end
-- What was rung for is gone. Whoever sleeps now may trust the next token.
for _, queue in ipairs(#ARGV > 0 and ARGV or {'*'}) do
  redis.call('DEL', key('bell', queue))
end
return {0, nearest and string.format('%.0f', nearest - now) or ''}
