--- What nginx calls: one table for each worker, made by the first request that needs it.
--
-- The vhost loads this file with the folder that it lies in. It sets no path of Lua's, because lua_package_path may
-- stand once in the configuration of a host, and another site may have it. A reload of nginx begins with new workers,
-- and the folder is named by what is in it: what changes is loaded anew, and what runs goes on with what it began with.
--
-- No timer shares a variable with a request: ngx_lua uses the memory of a request that is over for the next one. All
-- functions are those of modules, and what they need is passed to them.
local folder = ...

local function load_file(name)
    return assert(loadfile(folder .. "/" .. name .. ".lua"))()
end

local function read_settings()
    local file = assert(io.open(folder .. "/settings.json"))
    local text = file:read("*a")
    file:close()
    local settings = require("cjson").decode(text)
    -- Ansible before 2.19 writes what an expression makes as text.
    for _, name in ipairs({"timeout", "patience", "page_freshness", "login_grace", "login_rate"}) do
        settings[name] = tonumber(settings[name])
    end
    for _, name in ipairs({"private", "login_page"}) do
        settings[name] = settings[name] == true or settings[name] == "True"
    end
    return settings
end

local settings = read_settings()
local devpi = load_file("upstream").new(ngx, settings)
local writes = load_file("writes").new(ngx)
local serial = load_file("serial").new(ngx, settings, devpi, writes)

local front = {
    downloads = load_file("downloads").new(ngx, settings, devpi),
    judge = load_file("judge").new(ngx, settings, devpi),
    origin = load_file("origin").new(ngx, require("cjson.safe"), serial),
    pages = load_file("pages").new(ngx, settings, serial, writes),
    writes = writes,
}
package.loaded.devpi_front = front
return front
