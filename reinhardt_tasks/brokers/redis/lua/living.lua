-- The ids of jobs that have not ended. ARGV: bound, queue ('': all), kinds of lines ('ready', 'later', 'retry', 'held').
-- Returns {1, ids}, or {0} where there are more than the bound.
local bound, queue = tonumber(ARGV[1]), ARGV[2]
local queues = queue ~= '' and {queue} or redis.call('SUNION', base .. 'queues', base .. 'paused')
local answer = {1}
for number = 3, #ARGV do
  local kind = ARGV[number]
  local names = kind == 'held' and redis.call('ZRANGE', base .. 'workers', 0, -1) or queues
  for _, name in ipairs(names) do
    local line = key(kind, name)
    local some
    if kind == 'held' then
      some = (try('HLEN', line) or 0) <= bound and try('HKEYS', line)
    else
      some = try('ZRANGE', line, 0, bound)
      if kind == 'ready' then
        -- Limits hold these back.
        for _, set in ipairs({key('parked', name), key('pacing', name)}) do
          if (try('SCARD', set) or 0) > bound then
            return {0}
          end
          for _, id in ipairs(try('SMEMBERS', set) or {}) do
            some = some or {}
            some[#some + 1] = id
          end
        end
      end
    end
    if some == false or #answer - 1 + #(some or {}) > bound then
      return {0}
    end
    for _, id in ipairs(some or {}) do
      answer[#answer + 1] = id
    end
  end
end
return answer
