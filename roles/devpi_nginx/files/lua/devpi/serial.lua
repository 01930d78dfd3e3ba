--- The serial of devpi, as it was at most the seconds of devpi_nginx_page_freshness ago, and after the last write.
local Serial = {}
Serial.__index = Serial

--- Seconds that a request waits for it: a devpi that has much to do, or hangs, delays no page that is there.
local PATIENCE = 0.05

function Serial.new(ngx, settings, devpi, writes)
    return setmetatable({
        ngx = ngx, memory = ngx.shared.devpi_memory, devpi = devpi, writes = writes, freshness = settings.page_freshness,
    }, Serial)
end

function Serial:key()
    return "serial " .. self.writes:now()
end

--- Runs in a timer.
function Serial.ask(_, self, key)
    -- This answer costs devpi least.
    local answered, _, headers, socket = pcall(self.devpi.get, self.devpi, "/+api", 1)
    if answered then
        socket:close()
    end
    self.memory:set(key, answered and headers["x-devpi-serial"] or "unknown", self.freshness)
end

--- What is known, or nil.
function Serial:known()
    return (self.memory:get(self:key()))
end

--- One asks, and nobody waits for long.
function Serial:wait()
    local ngx, key = self.ngx, self:key()
    local serial = self.memory:get(key)
    if serial then
        return serial
    end
    if self.memory:add("asking for " .. key, true, 1) then
        ngx.timer.at(0, Serial.ask, self, key)
    end
    local give_up = ngx.now() + PATIENCE
    repeat
        ngx.sleep(0.002)
        serial = self.memory:get(key)
    until serial or ngx.now() >= give_up
    return serial
end

return Serial
