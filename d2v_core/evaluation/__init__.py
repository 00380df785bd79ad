"""How trained encoders are scored; linear probe and k-NN serve every modality.

What changes a number here changes results: raise the schema version of identity.
"""
