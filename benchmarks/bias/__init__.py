"""Classes that are tied to places, planted and not: are they found, and does selection loosen them?"""
