"""The messages' JSON Schemas: compared with the last release, registered, exported.

`schemas/` has one for each kind of message, as its producer must keep it; `released/` has them as
they were in the last release.
"""
