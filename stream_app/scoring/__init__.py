"""What forecasts were worth: the arithmetic once, for every place that measures.

Pure: arrays in, numbers out. Knows no models, no stream and no files.
"""
