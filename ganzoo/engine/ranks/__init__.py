"""One run in several processes, each with a part of every batch: data parallel."""
