"""Every step of the engine."""

import config  # noqa: F401 - no library that is loaded here may tell anybody of it
