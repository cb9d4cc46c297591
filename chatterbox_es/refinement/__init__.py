"""What to record next: which phones are misheard, which contexts are rare, which sentences hold them."""
