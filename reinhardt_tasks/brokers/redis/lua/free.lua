-- Frees a reserved once key. ARGV: once key, id. Returns whether it stood for that id.
local name = base .. 'reserved:' .. ARGV[1]
if redis.call('GET', name) == ARGV[2] then
  return redis.call('DEL', name)
end
return 0
