--- Requests to devpi for what runs without a request of a client: HTTP 1.0, whose answers end when devpi hangs up.
local Upstream = {}
Upstream.__index = Upstream

--- `settings.upstream` is an address and a port, or unix: and a path.
function Upstream.new(ngx, settings)
    return setmetatable({ngx = ngx, address = settings.upstream, authority = settings.authority}, Upstream)
end

function Upstream:connect(socket)
    if self.address:sub(1, 5) == "unix:" then
        return socket:connect(self.address)
    end
    local host, port = self.address:match("^(.+):(%d+)$")
    return socket:connect(host, tonumber(port))
end

--- Ask for a path, as it is in $uri, with more headers, or none. `seconds` is how long devpi may be silent.
-- Returns the status, the headers by their names in small letters, and the socket, from which the body is to be read.
-- Raises an error where there is no answer.
function Upstream:get(path, seconds, headers)
    local socket = self.ngx.socket.tcp()
    socket:settimeouts(math.min(seconds, 5) * 1000, seconds * 1000, seconds * 1000)
    assert(self:connect(socket))
    -- With application/json devpi would tell about a file instead.
    local request = {
        "GET " .. path:gsub("[^/]+", self.ngx.escape_uri) .. " HTTP/1.0",
        "Host: " .. self.authority,
        "X-Outside-Url: https://" .. self.authority,
        "Accept: */*",
        "User-Agent: pip/nginx",
    }
    for name, value in pairs(headers or {}) do
        table.insert(request, name .. ": " .. value)
    end
    assert(socket:send(table.concat(request, "\r\n") .. "\r\n\r\n"))
    local status = assert(tonumber(assert(socket:receive()):match("^HTTP/%S+ (%d+)")), "no status")
    local said = {}
    while true do
        local line = assert(socket:receive())
        if line == "" then
            return status, said, socket
        end
        local name, value = line:match("^([^:]+):%s*(.-)%s*$")
        if name then
            said[name:lower()] = value
        end
    end
end

return Upstream
