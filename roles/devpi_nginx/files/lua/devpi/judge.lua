--- Whether a request may do what it asks for: what the plugin of devpi said at most a second ago.
--
-- While it is asked, all others with the same login, index and need wait for its answer, because one may cost devpi the
-- hash of a password. While devpi is down or restarts, those are let in whom it let in within devpi_nginx_login_grace,
-- and who got something then: what is not there takes no room in the dictionary of those, so that nobody without a login
-- can push others out of it.
local Judge = {}
Judge.__index = Judge

local ROUTE = "/+wheelhouse/auth"
--- Seconds that an answer is good for, counted from the question.
local GOOD = 1
--- Seconds that those who wait for an answer get to see it.
local SEEN = 0.05
local READING = {GET = true, HEAD = true}
--- What stands for an answer of before, while devpi gives none.
local BY_GRACE = 200
--- What the plugin says. Anything else is no answer that lets in.
local ANSWERS = {[204] = true, [401] = true, [403] = true, [429] = true}

function Judge.new(ngx, settings, devpi)
    return setmetatable({
        ngx = ngx, answers = ngx.shared.devpi_answers, let_in = ngx.shared.devpi_let_in, devpi = devpi,
        patience = settings.patience, grace = settings.login_grace, login_rate = settings.login_rate,
        private = settings.private, login_page = settings.login_page, authority = settings.authority,
    }, Judge)
end

--- The login of the request of now, as headers for the plugin. The cookie of the page for a login is for reading alone.
function Judge:login(reads)
    local var = self.ngx.var
    local cookie = reads and self.login_page and var.cookie_auth_tkt
    return {
        ["Authorization"] = var.http_authorization,
        ["X-Devpi-Auth"] = var.http_x_devpi_auth,
        ["Cookie"] = cookie and cookie ~= "" and "auth_tkt=" .. cookie or nil,
    }
end

--- What an answer depends on: the index, or all of the path where that has another spelling, or is below none.
function Judge.subject(uri)
    local path = uri:gsub("[?#].*", "")
    if not path:find("[^%w/+._@-]") and not path:find("//", 1, true) and not (path .. "/"):find("/%.%.?/") then
        return path:match("^/[^/+][^/]*/[^/+][^/]*") or path
    end
    return path
end

--- Ask the plugin. Returns its status, or nil where there is none.
function Judge:ask(need, login)
    local var = self.ngx.var
    local headers = {
        ["X-Need"] = need, ["X-Method"] = var.request_method, ["X-Uri"] = var.request_uri,
        ["X-Real-IP"] = var.remote_addr, ["X-Login-Rate"] = tostring(self.login_rate),
    }
    for name, value in pairs(login) do
        headers[name] = value
    end
    local answered, status, _, socket = pcall(self.devpi.get, self.devpi, ROUTE, self.patience, headers)
    if answered then
        socket:close()
        return status
    end
    self.ngx.log(self.ngx.ERR, "devpi does not say who may: ", status)
end

--- Ask, and keep the answer. Returns the status for the client.
function Judge:ask_and_keep(key, need, login)
    local ngx, let_in = self.ngx, self.let_in
    local begin = ngx.now()
    local status = self:ask(need, login)
    local good_until = begin + GOOD
    local was_let_in = let_in:get(key)
    if not status then
        status, good_until = was_let_in and BY_GRACE or 502, ngx.now() + GOOD
    elseif not ANSWERS[status] then
        status = status == 503 and 503 or 502
    elseif status ~= 204 and was_let_in then
        -- Not even by a request from before that ends after this one.
        let_in:set(key, false, self.grace)
    elseif status == 204 and was_let_in == false then
        let_in:delete(key)
    end
    if status == 429 then
        -- That is for who asks, and not for others with the same login.
        good_until = begin
    end
    self.answers:set(key, status, math.max(good_until - ngx.now(), SEEN))
    return status
end

--- The status for the request of now: 204, or what refuses it.
function Judge:status(need)
    local ngx, answers, var = self.ngx, self.answers, self.ngx.var
    local reads = READING[var.request_method] or false
    local login = self:login(reads)
    local nobody = next(login) == nil
    -- Where nothing is private, reading without a login is for everybody.
    if not self.private and need ~= "login" and reads and nobody then
        return 204
    end
    local key = ngx.sha1_bin(table.concat({
        login["Authorization"] or "", login["X-Devpi-Auth"] or "", login["Cookie"] or "", need, tostring(reads),
        self.subject(var.request_uri),
    }, "\n"))
    local status = answers:get(key)
    while not status do
        if answers:add("asked " .. key, true, self.patience + 10) then
            local done, answer = pcall(self.ask_and_keep, self, key, need, login)
            answers:delete("asked " .. key)
            status = done and answer or error(answer, 0)
        else
            ngx.sleep(0.01)
            status = answers:get(key)
        end
    end
    if status == BY_GRACE then
        return 204
    end
    if self.private then
        var.devpi_let_in = status == 204 and self.grace > 0 and ngx.encode_base64(key) or ""
    end
    return status
end

--- Remember at the end of a request that was let in that it got something.
function Judge:remember()
    local ngx = self.ngx
    local key = ngx.decode_base64(ngx.var.devpi_let_in)
    if key ~= "" and ngx.status < 400 and self.let_in:get(key) ~= false then
        self.let_in:set(key, true, self.grace)
    end
end

--- Let the request of now go on, or end it. With `otherwise`, who is not let in gets that location.
function Judge:check(need, otherwise)
    local ngx = self.ngx
    local status = self:status(need)
    if status == 204 then
        return
    end
    if otherwise and (status == 401 or status == 403) then
        return ngx.exec(otherwise)
    end
    if status == 401 then
        -- Tools are told how to log in, and a browser gets a page for it.
        if self.login_page and ngx.var.devpi_browser ~= "" then
            ngx.header["Cache-Control"] = "no-store"
            local here = ngx.escape_uri(ngx.var.request_uri)
            return ngx.redirect("https://" .. self.authority .. "/+login?goto_url=" .. here)
        end
        ngx.header["WWW-Authenticate"] = 'Basic realm="devpi"'
    end
    return ngx.exit(status)
end

return Judge
