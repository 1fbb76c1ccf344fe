-- Cancels jobs: waiting ones end, running ones are marked. ARGV: ttl (ms), ids. Returns the ids for which that took effect.
local before = answered_before()
if before then
  return before
end
local done = {}
press_on()
for number = 2, #ARGV do
  local id = ARGV[number]
  local job = key('job', id)
  local found = try('HMGET', job, 'st', 'q', 'hb', 'lm', 'once', 'un')
  local status = found and found[1]
  if status == 'RUNNING' and found[3] then
    redis.call('HSET', job, 'cr', 1)
    redis.call('SADD', key('stop', found[3]), id)
    done[#done + 1] = id
  elseif status == 'PENDING' or status == 'SCHEDULED' or status == 'RETRY' then
    unplace(id, found[2], status)
    redis.call('HSET', job, 'st', 'CANCELLED', 'cr', 1, 'fi', now_text)
    if found[4] then
      gates().leave(id)
    end
    free_key(id, found[5], found[6], true)
    finish(id, 'CANCELLED', tonumber(ARGV[1]))
    done[#done + 1] = id
  end
end
return answered(done, #done > 0)
