--- How many writes went through this nginx: a page from before one is not handed out after it, whatever index shows it.
--
-- The number is part of the key of pages, and outlives a reload. Why not a purge: a page that devpi made before the
-- write and nginx stores after the purge would stay, a purged page is missed while devpi is down, and one would have to
-- know which indexes inherit.
local Writes = {}
Writes.__index = Writes

local READING = {GET = true, HEAD = true}

function Writes.new(ngx)
    return setmetatable({ngx = ngx, numbers = ngx.shared.devpi_generation}, Writes)
end

function Writes:first()
    return math.floor(self.ngx.now() * 1000)
end

--- The number of now.
function Writes:now()
    return self.numbers:get("now") or self.numbers:incr("now", 1, self:first())
end

--- Count the request of now if it wrote, or may have written, where devpi gave no answer.
function Writes:count()
    local ngx = self.ngx
    if not READING[ngx.req.get_method()] and (ngx.status < 400 or ngx.status >= 500) then
        self.numbers:incr("now", 1, self:first())
    end
end

return Writes
