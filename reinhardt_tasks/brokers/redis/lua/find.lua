-- Looks through jobs, newest first, for those that match; reads only those whole.
-- ARGV: index ('all' or 'failures'), greatest and least id as ZREVRANGEBYLEX has them, number to look at, limit, then what
--       is asked for ('': no matter): states between commas, queue, name, worker, enqueued since and until, finished since
--       and until (µs).
-- Returns the last id that was looked at (''; none), 1 where that was not all, then jobs as exchange does.
local number, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local states, queue, name, worker = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local function is_within(text, since, before)
  if since == '' and before == '' then
    return true
  end
  local moment = tonumber(text or '')
  return moment and (since == '' or moment >= tonumber(since)) and (before == '' or moment < tonumber(before))
end

local ids = redis.call('ZREVRANGEBYLEX', base .. ARGV[1], ARGV[2], ARGV[3], 'LIMIT', 0, number)
local answer, last = {}, ''
for _, id in ipairs(ids) do
  if #answer >= limit then
    break
  end
  last = id
  local job = key('job', id)
  local found = try('HMGET', job, 'st', 'q', 'n', 'wk', 'en', 'fi')
  if found and not found[1] and redis.call('EXISTS', job) == 0 then
    redis.call('ZREM', base .. 'all', id)
    redis.call('ZREM', base .. 'failures', id)
  elseif found
      and (states == '' or string.find(states, ',' .. (found[1] or '') .. ',', 1, true))
      and (queue == '' or found[2] == queue)
      and (name == '' or found[3] == name)
      and (worker == '' or found[4] == worker)
      and is_within(found[5], ARGV[10], ARGV[11])
      and is_within(found[6], ARGV[12], ARGV[13]) then
    answer[#answer + 1] = {id, without_log(redis.call('HGETALL', job))}
  end
end
return {last, (#ids == number or last ~= (ids[#ids] or '')) and 1 or 0, answer}
