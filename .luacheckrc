std = "ngx_lua"
max_line_length = 124
files["roles/devpi_nginx/files/lua/spec"] = {std = "+busted"}
