-- The server is there.
-- KEYS: servers. ARGV: server.
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', redis.call('TIME')[1] * 1000))
return 1
