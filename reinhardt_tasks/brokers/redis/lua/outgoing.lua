-- Followers that belong to other shards. ARGV: number of those at the front that have arrived there. Returns the next ones.
if tonumber(ARGV[1]) > 0 then
  redis.call('LTRIM', base .. 'outgoing', tonumber(ARGV[1]), -1)
end
return redis.call('LRANGE', base .. 'outgoing', 0, 99)
