-- The server is there. Its record outlives any delay of what it has sent.
-- KEYS: servers, the writer's record. ARGV: server.
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', redis.call('TIME')[1] * 1000))
redis.call('EXPIRE', KEYS[2], 7 * 86400)
return 1
