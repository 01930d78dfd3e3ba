--- An index as data for anybody: without the login in the URL of a mirror.
local Index = {}
Index.__index = Index

local HEADERS = {"Content-Type", "Location", "X-Devpi-Api-Version", "X-Devpi-Serial", "X-Devpi-Uuid"}

function Index.new(ngx)
    return setmetatable({ngx = ngx}, Index)
end

--- The same text of JSON, without what stands for a user and a password in any URL.
function Index.without_logins(text)
    return (text:gsub('(:\\?/\\?/)[^/"%s]*@', "%1"))
end

--- Answer the request of now.
function Index:answer()
    local ngx = self.ngx
    local index = ngx.location.capture("/devpi" .. ngx.var.uri, {args = ngx.var.args})
    if index.truncated then
        return ngx.exit(502)
    end
    ngx.status = index.status
    for _, name in ipairs(HEADERS) do
        ngx.header[name] = index.header[name]
    end
    ngx.print(self.without_logins(index.body))
end

return Index
