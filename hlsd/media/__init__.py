"""What audio and video are, whatever they came in: units, tracks, parameter sets, FLV tags. Pure."""
