"""What every process of ours loads first."""

from config.silence import silence_libraries
from config.threads import one_algebra_thread

silence_libraries()
one_algebra_thread()
