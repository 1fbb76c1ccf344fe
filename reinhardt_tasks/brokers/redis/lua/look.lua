-- Whether something is ready, and when the next job is due, of whatever kind.
-- ARGV: the kinds to look for ('bell', 'chime' or 'both'), queues; none: all. Returns {1 or 0, microseconds until the next is
-- due ('' where none is)}.
local kinds = ARGV[1]
local named = {unpack(ARGV, 2)}
local queues = #named > 0 and named or redis.call('SMEMBERS', base .. 'queues')
local function number_ready(queue)
  if kinds == 'both' then
    return try('ZCARD', key('ready', queue)) or 0
  elseif kinds == 'chime' then
    return try('ZCOUNT', key('ready', queue), '-inf', '(0') or 0
  end
  return try('ZCOUNT', key('ready', queue), '0', '+inf') or 0
end
local nearest
for _, queue in ipairs(queues) do
  if redis.call('SISMEMBER', base .. 'paused', queue) == 0 then
    if number_ready(queue) > 0 then
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
local bells = {}
for _, queue in ipairs(#named > 0 and named or {'*'}) do
  for _, bell in ipairs(kinds == 'both' and {'bell', 'chime'} or {kinds}) do
    bells[#bells + 1] = key(bell, queue)
  end
end
redis.call('DEL', unpack(bells))
return {0, nearest and string.format('%.0f', nearest - now) or ''}
