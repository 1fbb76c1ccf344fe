-- Gives a job that waits, or ended badly, other arguments. ARGV: id, payload. Returns whether it did.
local job = key('job', ARGV[1])
local status = try('HGET', job, 'st')
if status == 'PENDING' or status == 'SCHEDULED' or status == 'RETRY' or status == 'FAILURE' or status == 'CANCELLED' then
  redis.call('HSET', job, 'a', ARGV[2])
  redis.call('HDEL', job, 'sk')
  return 1
end
return 0
