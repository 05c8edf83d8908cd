"""The commands, by theme, and all that is printed. Heavy imports stay inside functions: `--help` is instant."""
