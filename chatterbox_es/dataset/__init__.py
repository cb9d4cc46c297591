"""Prepared sets: what training maps into memory, batches of it, and what stands out in it."""
