"""Voices over HTTP, by OpenAI's interface of speech."""
