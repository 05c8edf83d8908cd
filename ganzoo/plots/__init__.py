"""Figures for papers and slides, by matplotlib: the extra `plots`."""
