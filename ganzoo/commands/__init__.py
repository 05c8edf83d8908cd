"""The commands, by theme. Heavy imports stay inside the functions, so that `--help` is instant."""
