"""Reports on the time and cost of a dispatch, with advice."""
