-- Makes failed, cancelled and later jobs ready now. ARGV: ids. Returns the ids for which that took effect.
local before = answered_before()
if before then
  return before
end
local done = {}
for _, id in ipairs(ARGV) do
  local job = key('job', id)
  local found = try('HMGET', job, 'st', 'q', 'p', 'lm', 'co')
  local status = found and found[1]
  if (status == 'FAILURE' or status == 'CANCELLED' or status == 'SCHEDULED' or status == 'RETRY')
      and not is_queue_sound(found[2]) then
    unplace(id, found[2], status)
    unfinish(id)
    redis.call('HDEL', job, 'cr', 'fi')
    redis.call('HSET', job, 'st', 'PENDING', 'du', now_text)
    settle_down(id, found[2], 'PENDING', tonumber(found[3]), now, found[4], found[5])
    done[#done + 1] = id
  end
end
return answered(done, #done > 0)
