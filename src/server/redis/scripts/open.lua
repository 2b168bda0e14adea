-- What there is of a room.
-- KEYS: ends, the stream, epochs. ARGV: room, an earlier epoch ('' for none).
-- Returns {EPOCH-SEQ BEGIN of its end or '', SEQ of the first text that is there or '', whether the
-- earlier epoch is known, where it ended}.
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local reply = {redis.call('HGET', KEYS[1], ARGV[1]) or '', first and first[2][2] or '', '0', ''}
if ARGV[2] ~= '' and redis.call('LPOS', KEYS[3], ARGV[2]) then
    reply[3] = '1'
    reply[4] = redis.call('HGET', KEYS[1] .. ':' .. ARGV[2], ARGV[1]) or ''
end
return reply
