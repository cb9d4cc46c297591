"""One run: the loop, what it steps with, what it keeps, how it goes on."""
