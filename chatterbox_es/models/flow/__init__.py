"""Mels from phonemes by a decoder that sees its neighbours, and a flow that draws what its mean leaves out."""
