"""Whether symbols still behave as they did: detectors over the scores, in a process of its own"""
