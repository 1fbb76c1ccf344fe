-- The first ready jobs, for whoever has to choose among shards. ARGV: room (functions, coroutines), queues; none: all. Returns
-- for each its id, its rank, and 1 for a coroutine.
local rooms = {[false] = tonumber(ARGV[1]), [true] = tonumber(ARGV[2])}
local queues = #ARGV > 2 and {unpack(ARGV, 3)} or redis.call('SMEMBERS', base .. 'queues')
local answer = {}
for _, queue in ipairs(queues) do
  if redis.call('SISMEMBER', base .. 'paused', queue) == 0 and not is_queue_sound(queue) then
    promote(queue)
    for is_async, room in pairs(rooms) do
      local found = room > 0 and first_ready(queue, is_async, room) or {}
      for at = 1, #found, 2 do
        answer[#answer + 1] = found[at]
        answer[#answer + 1] = string.format('%.0f', rank_of(tonumber(found[at + 1])))
        answer[#answer + 1] = is_async and 1 or 0
      end
    end
  end
end
return answer
