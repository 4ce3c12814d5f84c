"""The station's own web page: served in the consulting room, it needs neither the core nor anything of the archive."""
