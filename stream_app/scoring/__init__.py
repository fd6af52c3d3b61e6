"""The skill of forecasts: one implementation for every place that measures it.

Pure: arrays in, numbers out. Depends on no models, streams or files.
"""
