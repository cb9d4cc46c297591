"""Sound files, the mel contract and log-mels, what is measured of a recording, and mels back to sound."""
