"""Turns a trained `.keras` model into the single int8 `.tflite` file that a device needs.

Run it from a checkout: `python -m convert MODEL.keras [OUT.tflite] --data fer2013.csv`.
"""
