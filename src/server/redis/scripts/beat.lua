-- The server is there.
-- KEYS: servers, state. ARGV: server.
-- Returns how many texts there were when somebody was last not told of one, or ''.
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', redis.call('TIME')[1] * 1000))
return redis.call('HGET', KEYS[2], 'untold') or ''
