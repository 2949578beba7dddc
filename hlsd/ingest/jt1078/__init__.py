"""Is the way in of vehicles: the media of JT/T 1078-2016 and its successor of 2019, by TCP and UDP."""
