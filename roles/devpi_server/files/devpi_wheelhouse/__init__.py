"""A plugin of devpi-server, for what its options do not limit and for what nginx asks it.

`plugin` has the hooks; each other module does one job.
"""
