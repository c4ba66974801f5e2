"""Reading, freezing, balancing and exporting datasets. Pure apart from the files named in the
arguments.
"""
