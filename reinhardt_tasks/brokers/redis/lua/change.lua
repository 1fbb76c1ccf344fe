-- Changes jobs that wait. ARGV: priority, queue, run_after, 1 or 0 for a coroutine or a function ('' leaves it), ids. Returns the ids for which that took effect.
local priority, queue, run_after, co = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local done = {}
if queue ~= '' and is_queue_sound(queue) then
  return redis.error_reply('WRONGTYPE the key ' .. is_queue_sound(queue) .. ' is not of the type that a queue has')
end
for number = 5, #ARGV do
  local id = ARGV[number]
  local job = key('job', id)
  local found = try('HMGET', job, 'st', 'q', 'p', 'du', 'lm', 'co')
  local status = found and found[1]
  if status == 'PENDING' or status == 'SCHEDULED' or status == 'RETRY' then
    unplace(id, found[2], status)
    if found[5] then
      gates().leave(id)
    end
    local new = {queue = found[2], priority = found[3], due = tonumber(found[4]), co = found[6]}
    if queue ~= '' then
      new.queue = queue
    end
    if priority ~= '' then
      new.priority = priority
    end
    if run_after ~= '' then
      new.due = tonumber(run_after)
      status = new.due > now and 'SCHEDULED' or 'PENDING'
      redis.call('HSET', job, 'ra', run_after)
    end
    if co ~= '' then
      new.co = co
      redis.call('HSET', job, 'co', co)
    end
    redis.call('HSET', job, 'st', status, 'q', new.queue, 'p', new.priority, 'du', string.format('%.0f', new.due))
    settle_down(id, new.queue, status, tonumber(new.priority), new.due, found[5], new.co)
    done[#done + 1] = id
  end
end
return done
