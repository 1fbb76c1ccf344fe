-- What each queue holds. ARGV: bound. Returns lists of {queue, ready, scheduled, retrying, running, oldest due, paused}.
local bound = tonumber(ARGV[1])
local running, seen = {}, 0
for _, worker in ipairs(redis.call('ZRANGE', base .. 'workers', 0, -1)) do
  for _, id in ipairs(redis.call('HKEYS', key('held', worker))) do
    if seen < bound then
      local queue = try('HGET', key('job', id), 'q')
      if queue then
        running[queue] = (running[queue] or 0) + 1
      end
      seen = seen + 1
    end
  end
end
local answer = {}
for _, queue in ipairs(redis.call('SUNION', base .. 'queues', base .. 'paused')) do
  local oldest
  for _, is_async in ipairs({false, true}) do
    local head = not is_queue_sound(queue) and first_ready(queue, is_async, 1)[1]
    local due = head and try('HGET', key('job', head), 'du')
    if due and (not oldest or (tonumber(due) or now) < (tonumber(oldest) or now)) then
      oldest = due
    end
  end
  -- Held back by limits: in a line, or let go from a moment on.
  local parked, pacing = try('SCARD', key('parked', queue)) or 0, try('SCARD', key('pacing', queue)) or 0
  answer[#answer + 1] = {
    queue,
    math.min((try('ZCARD', key('ready', queue)) or 0) + parked + pacing, bound),
    math.min(math.max(0, (try('ZCARD', key('later', queue)) or 0) - pacing), bound),
    math.min(try('ZCARD', key('retry', queue)) or 0, bound),
    running[queue] or 0,
    oldest or '',
    redis.call('SISMEMBER', base .. 'paused', queue),
  }
end
return answer
