"""HTTP to one server: as many sessions as are in flight, bounded answers, errors of ours."""
