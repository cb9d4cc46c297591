"""Voices that speak: text in, sound out."""
