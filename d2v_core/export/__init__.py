"""Encoders as folders that Hugging Face transformers and timm open, and back."""
