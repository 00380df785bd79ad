"""How speech encoders are scored: words recognised by CTC, utterances classified."""
