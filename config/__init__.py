"""What every process of ours loads first."""

from config.silence import silence_libraries

silence_libraries()
