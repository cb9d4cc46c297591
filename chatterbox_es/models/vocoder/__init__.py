"""A vocoder that is trained here: log-mels to a waveform by filtering a harmonic and a noisy source, frame by frame."""
