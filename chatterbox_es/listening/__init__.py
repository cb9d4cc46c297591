"""Listening tests: which sounds are judged by whom in which order, the page, the answers, what they say."""
