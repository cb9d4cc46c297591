"""The write-up's model, mels from phonemes: a text encoder, a duration predictor, a mel decoder."""
