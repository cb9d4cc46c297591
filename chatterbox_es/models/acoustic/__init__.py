"""What models that predict mels from phonemes share: text encoder, alignment, durations, prosody, and what is around."""
