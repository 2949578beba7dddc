"""What holds for all tests."""

from hypothesis import settings

# No test is timed: on a busy machine an example of microseconds takes as long as it takes.
settings.register_profile("hlsd", deadline=None)
settings.load_profile("hlsd")
