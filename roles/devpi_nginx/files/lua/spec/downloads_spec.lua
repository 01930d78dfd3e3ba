local here = "roles/devpi_nginx/files/lua/"
local FakeNgx = dofile(here .. "spec/fake_ngx.lua")
local Downloads = dofile(here .. "devpi/downloads.lua")

local URI = "/root/up/+f/abc/def/file.whl"

--- Files in memory, of which a handle sees what is written later.
local function file_system(files)
    local function handle(path)
        local at = 0
        return {
            write = function(_, bytes) files[path] = files[path] .. bytes; return true end,
            flush = function() return true end,
            close = function() return true end,
            seek = function(_, whence) at = whence == "set" and 0 or whence == "end" and #files[path] or at; return at end,
            read = function(_, size)
                local bytes = (files[path] or ""):sub(at + 1, at + size)
                at = at + #bytes
                return bytes ~= "" and bytes or nil
            end,
        }
    end
    return function(path, mode)
        if mode == "wb" then
            files[path] = ""
        end
        return files[path] and handle(path)
    end
end

--- Downloads of a devpi that sends these pieces and then hangs up, where `place` tells whether it keeps the file.
local function downloads(ngx, answer)
    local files, sent = {}, 0
    local socket = {
        close = function() end,
        receiveany = function()
            sent = sent + 1
            local piece = answer.pieces[sent]
            if piece then
                return piece
            end
            if answer.keeps then
                files["/files" .. URI] = table.concat(answer.pieces)
            end
            return nil, answer.problem or "closed"
        end,
    }
    local devpi = {get = function() return answer.status or 200, {["content-length"] = answer.length}, socket end}
    local made = Downloads.new(ngx, {parts_directory = "/parts", files_directory = "/files", timeout = 20}, devpi)
    made.open, made.remove = file_system(files), function(path) files[path] = nil end
    -- The timer runs when those who wait sleep for the first time.
    ngx.clock.on_sleep = function() FakeNgx.run_timers(ngx) end
    return made, files
end

local function parts(files)
    local found = {}
    for path in pairs(files) do
        if path:find("^/parts") then
            table.insert(found, path)
        end
    end
    return found
end

describe("A download", function()
    local ngx
    before_each(function() ngx = FakeNgx.new({uri = URI}) end)

    it("sends a file that devpi keeps, and leaves no part", function()
        local made, files = downloads(ngx, {length = "40000", pieces = {("a"):rep(30000), ("b"):rep(10000)}, keeps = true})
        made:answer()
        assert.equal(("a"):rep(30000) .. ("b"):rep(10000), table.concat(ngx.printed))
        assert.equal(40000, ngx.header["Content-Length"])
        assert.is_nil(ngx.exited)
        assert.same({}, parts(files))
    end)

    it("answers 502 where devpi does not keep a small file", function()
        local made, files = downloads(ngx, {length = "4", pieces = {"tiny"}})
        made:answer()
        assert.equal(502, ngx.exited)
        assert.same({}, ngx.printed)
        assert.same({}, parts(files))
    end)

    for what, answer in pairs({
        ["has another hash"] = {length = "4", pieces = {"tinY"}},
        ["is longer than said"] = {length = "4", pieces = {"tiny", "!"}, keeps = true},
        ["is shorter than said"] = {length = "5", pieces = {"tiny"}, keeps = true},
        ["ends in an error"] = {length = "4", pieces = {"tiny"}, problem = "timeout", keeps = true},
        ["fails"] = {status = 502, length = "3", pieces = {}},
    }) do
        it("is nobody's where it " .. what, function()
            local made = downloads(ngx, answer)
            made:answer()
            assert.equal(502, ngx.exited)
            assert.same({}, ngx.printed)
        end)
    end

    it("leaves to devpi what is no file", function()
        local made = downloads(ngx, {status = 404, length = "3", pieces = {}})
        made:answer()
        assert.equal("@file_of_devpi", ngx.executed)
    end)

    it("holds the last piece back until the file is in place, and hangs up where it is not", function()
        local made, files = downloads(ngx, {length = "100000", pieces = {}})
        ngx.clock.on_sleep = function() end
        local name = made:join(URI, "key")
        made:renew("key", name, 100000)
        files[made:part_of(name)] = ("a"):rep(100000)
        ngx.clock.on_sleep = function()
            assert.equal(100000 - 16384, #table.concat(ngx.printed))
            made.entries:delete("key")
        end
        assert.is_false(made:send(made.open(made:part_of(name), "rb"), "key", name, 100000))
        assert.equal(100000 - 16384, #table.concat(ngx.printed))
    end)

    it("is one for all who ask", function()
        local made = downloads(ngx, {length = "4", pieces = {"tiny"}, keeps = true})
        assert.equal(made:join(URI, "key"), made:join(URI, "key"))
        assert.equal(1, #ngx.timers)
        assert.not_equal(made:join(URI, "key"), made:join("/other", "other key"))
    end)

    it("ends those who wait where nginx ends", function()
        local made = downloads(ngx, {length = "4", pieces = {"tiny"}})
        ngx.clock.on_sleep = function() FakeNgx.run_timers(ngx, true) end
        made:answer()
        assert.equal(502, ngx.exited)
    end)

    it("can be begun anew at once after it failed", function()
        local made = downloads(ngx, {length = "4", pieces = {"tinY"}})
        made:answer()
        assert.is_nil(made.entries:get("md5-" .. URI))
    end)

    it("shares no variable with the request that began it", function()
        local made = downloads(ngx, {length = "4", pieces = {"tiny"}, keeps = true})
        made:join(URI, "key")
        local number = 1
        while debug.getupvalue(ngx.timers[1].call, number) do
            local name = debug.getupvalue(ngx.timers[1].call, number)
            assert.is_true(name:find("^%u") ~= nil, name .. " is no constant of the module")
            number = number + 1
        end
    end)

    it("keeps names of one length, whatever that of the path", function()
        ngx.var.uri = "/root/up/+f/" .. ("x"):rep(8000)
        ngx.md5 = function() return ("0"):rep(32) end
        local made = downloads(ngx, {status = 404, length = "3", pieces = {}})
        made:answer()
        for key in pairs(made.entries.entries) do
            assert.is_true(#key < 100)
        end
    end)
end)
