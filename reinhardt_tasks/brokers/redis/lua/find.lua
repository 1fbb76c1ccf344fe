-- One page of ids, newest first, with their jobs.
-- ARGV: index ('all' or 'failures'), id to begin after ('': none), number. Returns jobs as exchange does; a job that is gone
-- is left out, and the last id that was looked at comes first.
local bound = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local ids = redis.call('ZREVRANGEBYLEX', base .. ARGV[1], bound, '-', 'LIMIT', 0, tonumber(ARGV[3]))
local answer = {ids[#ids] or ''}
for _, id in ipairs(ids) do
  local job = try('HGETALL', key('job', id))
  if job and #job > 0 then
    answer[#answer + 1] = {id, job}
  elseif redis.call('EXISTS', key('job', id)) == 0 then
    redis.call('ZREM', base .. 'all', id)
    redis.call('ZREM', base .. 'failures', id)
  end
end
return answer
