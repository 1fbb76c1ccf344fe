-- Frees a reserved once key. ARGV: once key, id. Returns whether it stood for that.
local name = key('reserved', ARGV[1])
if redis.call('GET', name) ~= ARGV[2] then
  return 0
end
return redis.call('DEL', name, key('reserved-limits', ARGV[1]))
