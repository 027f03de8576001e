"""Fine-tune MobileNetV2 on FER2013 and say honestly how good it is. Run as `python -m training`."""
