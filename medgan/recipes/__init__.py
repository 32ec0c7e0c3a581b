"""Whole jobs, which the command line and the scripts in pipelines/ call."""
