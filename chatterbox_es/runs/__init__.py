"""What a run leaves behind, and the pages that are made of it."""
