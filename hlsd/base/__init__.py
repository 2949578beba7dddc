"""What every box may use: errors, clock, log, limits of logs, faults, upkeep, numbers with units."""
