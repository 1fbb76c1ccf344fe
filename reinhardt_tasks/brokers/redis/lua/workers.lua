-- The workers. No ARGV. Returns lists of {worker, end of lease, now, fields and values, number of jobs held}.
local answer = {}
local found = redis.call('ZRANGE', base .. 'workers', 0, -1, 'WITHSCORES')
for at = 1, #found, 2 do
  local worker = found[at]
  answer[#answer + 1] = {
    worker,
    found[at + 1],
    now_text,
    redis.call('HGETALL', key('worker', worker)),
    redis.call('HLEN', key('held', worker)),
  }
end
return answer
