-- Writes a running job's metadata and progress. ARGV: id, token, metadata, progress ('': none). Returns whether it is ours.
local job = key('job', ARGV[1])
local held = redis.call('HMGET', job, 'tk', 'hb')
if held[1] ~= ARGV[2] or not held[2] or held[2] == '' then
  return 0
end
press_on()
redis.call('HSET', job, 'md', ARGV[3])
if ARGV[4] == '' then
  redis.call('HDEL', job, 'pg')
else
  redis.call('HSET', job, 'pg', ARGV[4])
end
return 1
