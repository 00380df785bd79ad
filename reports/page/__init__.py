"""The report as one HTML page that needs nothing else.

Look and order are in the templates; numbers come from the other rooms.
"""
